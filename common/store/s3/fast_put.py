"""A PUT past the SDK, on urllib3: the same request, for a small part of the CPU time.

docs/decisions/0016-put.md has the figures. Every other request to the store goes by the SDK.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
import urllib.parse
from typing import Any

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from common import __version__
from common.store.base import NewObject, StoreError, StoreOptions
from common.store.s3.endpoint import CONNECT_TIMEOUT, READ_TIMEOUT, Endpoint
from common.store.s3.signature import Signer
from common.store.s3.store_errors import Answer, parse_error

BODY_LIMIT = 64 * 1024  # bytes of an answer's body that are read; after more it is hung up
# A firewall may forget a connection that is idle. The kernel's probes remind it from 30 s on, and
# end the connection when nobody answers three of them.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
_NO_HEADER = re.compile("[\0\r\n\x80-\U0010ffff]")


class FastPut:
    """May be shared by threads; tries each request once."""

    def __init__(self, options: StoreOptions, endpoint: Endpoint) -> None:
        parts = urllib.parse.urlsplit(options.endpoint)
        self._endpoint = endpoint
        self._errors = endpoint.errors
        self._pool = _create_pool(parts, endpoint.trusted, options.connections)
        self._host = _host(parts)
        self._path = f"{parts.path.rstrip('/')}/{options.bucket}/"
        self._tokens = endpoint.tokens
        self._dialect = endpoint.dialect
        key, secret = options.access_key_id, options.secret_access_key
        self._signer = Signer(key, secret, self._dialect.region)

    def __call__(self, new: NewObject, replace: bool = True) -> None:
        """Write the object. Raises StoreError; without `replace`, `exists` if there is one."""
        signer, md5 = self._signer, self._dialect.md5
        refusal = self._put(new, replace, signer, md5)
        if refusal is None:
            return
        self._dialect.learn_region(refusal)
        if signer.region != self._dialect.region:
            self._signer = signer = signer.for_region(self._dialect.region)
            refusal = self._put(new, replace, signer, md5)
            if refusal is None:
                return
        if refusal.is_about_checksum and not md5 and self._put(new, replace, signer, True) is None:
            self._dialect.use_md5(refusal)
            return
        raise self._endpoint.error_of(refusal, "PUT", "write to")

    def _put(self, new: NewObject, replace: bool, signer: Signer, md5: bool) -> Answer | None:
        """What the store says in place of writing the object. Raises StoreError."""
        path = self._path + urllib.parse.quote(new.key, safe="/~")
        headers = self._headers(path, new, replace, signer, md5)
        response = self._request(path, headers, new.body)
        body = self._read_body(response)
        if response.status != 200:
            return parse_error(response.status, response.headers, body)
        if "etag" not in response.headers:
            raise self._errors.no_etag()
        return None

    def close(self) -> None:
        """Close the connections that are not in use; none is made from now on."""
        self._pool.close()

    def _request(self, path: str, headers: dict[str, str], body: bytes) -> BaseHTTPResponse:
        """The answer, its body still unread. Raises StoreError."""
        try:
            try:
                return self._try_request(path, headers, body)
            except ProtocolError as error:
                if not isinstance(error.args[-1], ConnectionError):
                    raise
                # The store has ended a kept connection just now. A PUT may be repeated.
                return self._try_request(path, headers, body)
        except HTTPError as error:
            raise self._store_error(error) from None

    def _try_request(self, path: str, headers: dict[str, str], body: bytes) -> BaseHTTPResponse:
        return self._pool.urlopen(
            "PUT",
            path,
            body,
            headers,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def _read_body(self, response: BaseHTTPResponse) -> bytes:
        """What is read of the body; the connection is kept if that is all. Raises StoreError."""
        try:
            body = response.read(BODY_LIMIT)
        except HTTPError as error:
            raise self._store_error(error) from None
        if not response.closed:
            response.close()
        response.release_conn()
        return body

    def _store_error(self, error: HTTPError) -> StoreError:
        if isinstance(error, NewConnectionError):
            return self._errors.nothing_listens()
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return self._errors.no_answer()
        if isinstance(error, SSLError):
            return self._errors.no_tls(error)
        return self._errors.broken_request(error)

    def _headers(
        self, path: str, new: NewObject, replace: bool, signer: Signer, md5: bool
    ) -> dict[str, str]:
        """All headers, signed. Raises StoreError, `refused` for metadata that are no headers."""
        headers = {"content-md5": new.md5} if md5 else {}
        headers |= {"content-type": new.content_type, "host": self._host}
        if not replace:
            headers["if-none-match"] = "*"
        if not md5:
            headers["x-amz-checksum-sha256"] = new.checksum
        metadata = {f"x-amz-meta-{name}": new.metadata[name] for name in sorted(new.metadata)}
        if _NO_HEADER.search("".join([*metadata, *metadata.values()])):
            raise StoreError("refused", "the object's metadata cannot be put into HTTP headers")
        if self._tokens is not None:
            headers |= metadata
            headers["authorization"] = f"Bearer {self._tokens.get_token()}"
        else:
            headers["x-amz-content-sha256"] = new.sha256
            headers["x-amz-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            headers |= metadata
            headers["authorization"] = signer.authorization("PUT", path, headers)
        headers["user-agent"] = f"facepipe/{__version__}"
        return headers


def _create_pool(
    parts: urllib.parse.SplitResult, trusted: str, connections: int
) -> HTTPConnectionPool:
    """trusted: file of the authorities to trust, for https."""
    host = parts.hostname or ""
    options: dict[str, Any] = {
        "timeout": Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
        "maxsize": connections,
        "socket_options": _SOCKET_OPTIONS,
    }
    if parts.scheme == "http":
        return HTTPConnectionPool(host, parts.port, **options)
    options["ssl_context"] = ssl.create_default_context(cafile=trusted)
    return HTTPSConnectionPool(host, parts.port, **options)


def _host(parts: urllib.parse.SplitResult) -> str:
    """The Host header: with the port where it is not the scheme's own."""
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{name}" if usual else f"{name}:{parts.port}"
