"""Why a source cannot be opened, as reason words: docs/operations.md lists them."""

from __future__ import annotations

import errno
import socket
import urllib.parse

import av.error

from detector.capture.producer import SourceError

_BY_TYPE: list[tuple[type[Exception], str, str]] = [
    (av.error.HTTPUnauthorizedError, "unauthorized", "it rejects the login"),
    (av.error.HTTPForbiddenError, "unauthorized", "it rejects the login"),
    (av.error.HTTPNotFoundError, "not_found", "it has no such path"),
    (av.error.HTTPError, "http_error", "it answers with an error"),
    (av.error.ConnectionRefusedError, "refused", "nothing is listening on its port"),
    (av.error.ExitError, "no_answer", "it does not answer"),
    (av.error.TimeoutError, "no_answer", "it does not answer"),
    (av.error.InvalidDataError, "not_video", "it does not deliver readable video"),
    (av.error.EOFError, "not_video", "it ends before there is any video"),
    (av.error.PatchWelcomeError, "unsupported", "this format cannot be read here"),
    (av.error.ProtocolNotFoundError, "unsupported", "this scheme cannot be read here"),
    (av.error.DemuxerNotFoundError, "unsupported", "this format cannot be read here"),
    (av.error.DecoderNotFoundError, "unsupported", "this codec cannot be read here"),
    (av.error.FileNotFoundError, "absent", "it does not exist"),
]
_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


def to_source_error(error: Exception, address: str) -> SourceError:
    """The error for what PyAV raised. Its text has no address: that may hold a password."""
    for kind, reason, text in _BY_TYPE:
        if isinstance(error, kind):
            return SourceError(reason, text)
    number = error.errno if isinstance(error, OSError) else None
    if number in _NO_ROUTE:
        return SourceError("no_route", "there is no route to it")
    if number == errno.EIO and not _resolves(address):  # FFmpeg's answer to an unknown name
        return SourceError("unknown_host", "its host name does not resolve")
    text = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return SourceError("not_open", f"it cannot be opened: {text}")


def _resolves(address: str) -> bool:
    try:
        host = urllib.parse.urlsplit(address).hostname
        return not host or bool(socket.getaddrinfo(host, None))
    except (OSError, ValueError):
        return False
