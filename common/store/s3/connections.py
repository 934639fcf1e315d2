"""Connections to the store that are kept: one request at a time on each, from any thread.

What a store answers to a good PUT is taken in one piece; http.client reads every other answer.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.parse
from typing import Any, NamedTuple, cast

from common.store.s3.endpoint import CONNECT_TIMEOUT, READ_TIMEOUT

IDLE = 30.0  # seconds after which a kept connection may be one that a firewall has forgotten
BODY_LIMIT = 64 * 1024  # bytes of an answer's body that are read; after more it is hung up
_RECEIVED = 64 * 1024  # bytes read at a time


class Reply(NamedTuple):
    status: int
    has_etag: bool
    body: bytes


class Unreachable(OSError):
    """No connection could be made."""


class _Closed(Exception):
    """A kept connection ended before any of the answer came."""


class Connections:
    """To one endpoint; as many as there are threads that ask at a time."""

    def __init__(self, endpoint: str, trusted: str) -> None:
        """trusted: file of the authorities to trust, for https."""
        parts = urllib.parse.urlsplit(endpoint)
        tls = parts.scheme == "https"
        self._address = parts.hostname or "", parts.port or (443 if tls else 80)
        self._context = _create_context(trusted) if tls else None
        self._kept: list[_Connection] = []  # the one used last is the next to be used

    def ask(self, head: bytes, body: bytes) -> Reply:
        """Send a request, whole, and take the answer.

        A connection that was kept and has ended meanwhile costs no failure: it is asked once more,
        on a fresh one.

        Raises:
            Unreachable: nothing listens there. TimeoutError: it does not answer.
            ssl.SSLError: no TLS. OSError, http.client.HTTPException: the request broke.
        """
        connection = self._pick()
        if connection is not None:
            try:
                return self._exchange(connection, head, body)
            except _Closed:
                pass
        return self._exchange(self._connect(), head, body)

    def close(self) -> None:
        """Close those that are not in use."""
        while self._kept:
            self._kept.pop().close()

    def _pick(self) -> _Connection | None:
        oldest = time.monotonic() - IDLE
        while True:
            try:
                connection = self._kept.pop()
            except IndexError:
                return None
            if connection.used > oldest:
                return connection
            connection.close()

    def _exchange(self, connection: _Connection, head: bytes, body: bytes) -> Reply:
        try:
            reply = connection.exchange(head, body)
        except BaseException:
            connection.close()
            raise
        if connection.open:
            self._kept.append(connection)
        return reply

    def _connect(self) -> _Connection:
        try:
            sock = socket.create_connection(self._address, CONNECT_TIMEOUT)
        except TimeoutError:
            raise
        except OSError as error:
            raise Unreachable(*error.args) from None
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._context is not None:
                host = self._address[0].rstrip(".")
                sock = self._context.wrap_socket(sock, server_hostname=host)
            sock.settimeout(READ_TIMEOUT)
        except BaseException:
            sock.close()
            raise
        return _Connection(sock)


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._send = _send_joined if isinstance(sock, ssl.SSLSocket) else _send_apart
        self.used = 0.0  # when the last answer was complete; time.monotonic()
        self.open = True

    def exchange(self, head: bytes, body: bytes) -> Reply:
        broken: OSError | None = None
        try:
            self._send(self._sock, head, body)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError) as error:
            broken = error  # it may have answered before it hung up
        try:
            came = self._sock.recv(_RECEIVED)
        except (ConnectionError, ssl.SSLError) as error:
            broken, came = broken or error, b""
        if not came:
            if self.used:
                raise _Closed
            raise broken or http.client.RemoteDisconnected("it hung up without an answer")
        reply = _parse_plain_success(came) or self._read(came)
        self.used = time.monotonic()
        return reply

    def _read(self, came: bytes) -> Reply:
        response = http.client.HTTPResponse(
            cast(Any, _SocketReader(came, self._sock)), method="PUT"
        )
        response.begin()
        body = response.read(BODY_LIMIT)
        if response.will_close or not response.isclosed():
            self.close()
        return Reply(response.status, response.getheader("ETag") is not None, body)

    def close(self) -> None:
        self.open = False
        self._sock.close()


def _parse_plain_success(came: bytes) -> Reply | None:
    """The answer, if these bytes are all of it: success, no body, and the connection stays."""
    head = came.lower()
    if (
        head.startswith(b"http/1.1 200 ")
        and head.find(b"\r\n\r\n") == len(head) - 4
        and b"\r\ncontent-length: 0\r\n" in head
        and b"\r\nconnection: close" not in head
        and b"\r\ntransfer-encoding:" not in head
    ):
        return Reply(200, b"\r\netag:" in head, b"")
    return None


class _SocketReader(io.RawIOBase):
    """What has come already, and then what the socket still gives; http.client calls makefile."""

    def __init__(self, came: bytes, sock: socket.socket) -> None:
        self._came = memoryview(came)
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._came:
            return self._sock.recv_into(buffer)
        count = min(len(buffer), len(self._came))
        buffer[:count] = self._came[:count]
        self._came = self._came[count:]
        return count


def _send_apart(sock: socket.socket, head: bytes, body: bytes) -> None:
    sent = sock.sendmsg((head, body))
    if sent < len(head):
        sock.sendall(head[sent:])
        sent = len(head)
    if sent < len(head) + len(body):
        sock.sendall(memoryview(body)[sent - len(head) :])


def _send_joined(sock: socket.socket, head: bytes, body: bytes) -> None:
    sock.sendall(head + body)  # in as few TLS records as there can be


def _create_context(trusted: str) -> ssl.SSLContext:
    """As the SDK's: TLS 1.2 or newer, the host's name checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    return context
