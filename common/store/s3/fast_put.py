"""A PUT past the SDK: the same request, for a small part of the CPU time.

docs/decisions/put.md has the figures. Whatever else is asked of the store goes by the SDK.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.parse

from common import __version__
from common.store.base import NewObject, StoreError, StoreOptions
from common.store.s3.connections import Connections, Reply, Unreachable
from common.store.s3.endpoint import Endpoint
from common.store.s3.signature import Signer
from common.store.s3.store_errors import parse_error_body

_AGENT = f"user-agent: facepipe/{__version__}"


class FastPut:
    """May be shared by threads; tries each request once."""

    def __init__(self, options: StoreOptions, endpoint: Endpoint) -> None:
        parts = urllib.parse.urlsplit(options.endpoint)
        self._endpoint = endpoint
        self._says = endpoint.says
        self._connections = Connections(options.endpoint, endpoint.trusted)
        self._host = _host(parts)
        self._path = f"{parts.path.rstrip('/')}/{options.bucket}/"
        self._tokens = endpoint.tokens
        key, secret = options.access_key_id, options.secret_access_key
        self._signer = Signer(key, secret, endpoint.region)

    def __call__(self, object: NewObject) -> None:
        """Write it.

        Raises:
            StoreError: with the reason.
        """
        reply = self._asked(self._head(object), object.body)
        if reply.status != 200:
            refusal = parse_error_body(reply.status, reply.body)
            raise self._endpoint.refused(refusal, "PUT", "write to")
        if not reply.has_etag:
            raise self._says.no_etag()

    def close(self) -> None:
        self._connections.close()

    def _asked(self, head: bytes, body: bytes) -> Reply:
        try:
            return self._connections.ask(head, body)
        except TimeoutError:
            raise self._says.silent() from None
        except ssl.SSLError as error:
            raise self._says.no_tls(error) from None
        except Unreachable:
            raise self._says.absent() from None
        except (OSError, http.client.HTTPException) as error:
            raise self._says.broken(error) from None

    def _head(self, object: NewObject) -> bytes:
        path = self._path + urllib.parse.quote(object.key, safe="/~")
        headers = {
            "content-type": object.content_type,
            "host": self._host,
            "x-amz-checksum-sha256": object.checksum,
        }
        metadata = object.metadata
        named = {f"x-amz-meta-{name}": metadata[name] for name in sorted(metadata)}
        if self._tokens is not None:
            headers |= named
            authorization = f"Bearer {self._tokens.get_token()}"
        else:
            headers["x-amz-content-sha256"] = object.sha256
            headers["x-amz-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            headers |= named
            authorization = self._signer.authorization("PUT", path, headers)
        lines = [f"PUT {path} HTTP/1.1", *[f"{name}: {headers[name]}" for name in headers]]
        lines += [f"authorization: {authorization}", f"content-length: {len(object.body)}", _AGENT]
        return _joined(lines)


def _joined(lines: list[str]) -> bytes:
    """The head of a request: each line one line, of ASCII.

    Raises:
        StoreError: refused.
    """
    text = "\r\n".join(lines)
    ends = text.count("\r"), text.count("\n")
    if not text.isascii() or ends != (len(lines) - 1, len(lines) - 1) or "\0" in text:
        raise StoreError("refused", "the object's metadata cannot be put into HTTP headers")
    return text.encode() + b"\r\n\r\n"


def _host(parts: urllib.parse.SplitResult) -> str:
    """The Host header: with the port where it is not the scheme's own."""
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{name}" if usual else f"{name}:{parts.port}"
