"""HTTP connections to the store that are kept, on http.client: one request at a time on each.

http.client connects, checks the certificate and reads the answer. The request is sent in one
piece, its head already in bytes: that is most of what this costs less than urllib3's pool.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from common.store.s3.endpoint import CONNECT_TIMEOUT, READ_TIMEOUT

BODY_LIMIT = 64 * 1024  # bytes of an answer's body that are read; after more it is hung up
# A firewall may forget a connection that is idle. The kernel's probes remind it from 30 s on, and
# end the connection when nobody answers three of them.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str]  # by name, in lower case
    body: bytes  # the first BODY_LIMIT bytes


class ConnectError(OSError):
    """Nothing listens there."""


class Connections:
    """To one endpoint; as many as there are threads that ask at a time."""

    def __init__(self, parts: urllib.parse.SplitResult, trusted: str) -> None:
        """trusted: file of the authorities to trust, for https."""
        self._host, self._port = parts.hostname or "", parts.port
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=trusted)
        self._idle: list[http.client.HTTPConnection] = []  # the next to be used is the last

    def request(self, method: str, head: bytes, body: bytes) -> Response:
        """Send a request and read its answer.

        If the connection ends before an answer comes, the request is sent once more, over a new
        one: the store may have ended a kept connection just then. So it must be one that may be
        repeated.

        Raises:
            ConnectError: nothing listens there. TimeoutError: it does not answer.
            ssl.SSLError: no TLS. OSError, http.client.HTTPException: the request broke.
        """
        try:
            return self._exchange(self._take_idle() or self._connect(), method, head, body)
        except ConnectionError:
            return self._exchange(self._connect(), method, head, body)

    def close(self) -> None:
        """Close the connections that are not in use."""
        while (connection := self._take_idle()) is not None:
            connection.close()

    def _take_idle(self) -> http.client.HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT)
            if self._tls is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_TIMEOUT, context=self._tls
            )
        )
        try:
            connection.connect()
            for option in _KEEPALIVE:
                connection.sock.setsockopt(*option)
            connection.sock.settimeout(READ_TIMEOUT)
        except (ssl.SSLError, TimeoutError):
            connection.close()
            raise
        except OSError as error:
            connection.close()
            raise ConnectError(*error.args) from None
        return connection

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, head: bytes, body: bytes
    ) -> Response:
        try:
            # It may have answered before it hung up; if not, reading raises as much.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(head + body)
            response = http.client.HTTPResponse(connection.sock, method=method)
            with contextlib.closing(response):
                response.begin()
                read = response.read(BODY_LIMIT)
                is_whole = response.isclosed()
        except BaseException:
            connection.close()
            raise
        if is_whole and not response.will_close:
            self._idle.append(connection)
        else:
            connection.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status, headers, read)
