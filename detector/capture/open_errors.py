"""Why a source does not open, in one word each: docs/operations.md lists them."""

from __future__ import annotations

import errno
import socket
import urllib.parse

import av.error

from detector.capture.producer import SourceError

_BY_TYPE: list[tuple[type[Exception], str, str]] = [
    (av.error.HTTPUnauthorizedError, "unauthorized", "it refuses the login"),
    (av.error.HTTPForbiddenError, "unauthorized", "it refuses the login"),
    (av.error.HTTPNotFoundError, "not_found", "it knows no such path"),
    (av.error.HTTPError, "http_error", "it answers with an error"),
    (av.error.ConnectionRefusedError, "refused", "nothing listens at its port"),
    (av.error.ExitError, "no_answer", "it does not answer"),
    (av.error.TimeoutError, "no_answer", "it does not answer"),
    (av.error.InvalidDataError, "not_video", "what it gives is no video that can be read"),
    (av.error.EOFError, "not_video", "it ends before there is any video"),
    (av.error.PatchWelcomeError, "unsupported", "this format cannot be read here"),
    (av.error.ProtocolNotFoundError, "unsupported", "this scheme cannot be read here"),
    (av.error.DemuxerNotFoundError, "unsupported", "this format cannot be read here"),
    (av.error.DecoderNotFoundError, "unsupported", "this codec cannot be read here"),
    (av.error.FileNotFoundError, "absent", "it is not there"),
]
_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


def to_source_error(error: Exception, address: str) -> SourceError:
    """The error for what PyAV raised. Its text has no address: that may hold a password."""
    for kind, reason, text in _BY_TYPE:
        if isinstance(error, kind):
            return SourceError(reason, text)
    number = error.errno if isinstance(error, OSError) else None
    if number in _NO_ROUTE:
        return SourceError("no_route", "there is no way to it in this network")
    if number == errno.EIO and not _resolves(address):  # FFmpeg's answer to an unknown name
        return SourceError("unknown_host", "its name is not known")
    text = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return SourceError("not_open", f"it does not open: {text}")


def _resolves(address: str) -> bool:
    try:
        host = urllib.parse.urlsplit(address).hostname
        return not host or bool(socket.getaddrinfo(host, None))
    except (OSError, ValueError):
        return False
