"""An HTTP server that answers as it is told, byte for byte, and keeps what it was asked."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO

DONE = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'


@dataclasses.dataclass(frozen=True)
class Asked:
    connection: int  # which one since the start
    line: str
    headers: dict[str, str]  # by name in lower case
    body: bytes


def answer(status: str, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def forward(asked: Asked, port: int) -> bytes:
    """The answer of another server on loopback to the same request."""
    method, path, _ = asked.line.split()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, asked.body, asked.headers)
        response = connection.getresponse()
        body = response.read()
        dropped = ("content-length", "transfer-encoding", "connection")
        pairs = [pair for pair in response.getheaders() if pair[0].lower() not in dropped]
        length = response.getheader("Content-Length", str(len(body)))
        head = [f"HTTP/1.1 {response.status} {response.reason}", f"Content-Length: {length}"]
        head += [f"{name}: {value}" for name, value in pairs]
        return "\r\n".join([*head, "", ""]).encode("latin-1") + body


class Canned:
    """`reply` makes each answer; with an empty one it hangs up, as it does after the requests
    whose numbers, from 1, are in `hangs_up`.
    """

    def __init__(self, reply: Callable[[Asked], bytes] = lambda _: DONE) -> None:
        self.reply = reply
        self.asked: list[Asked] = []
        self.hangs_up: set[int] = set()
        self.piecewise = False  # send each byte alone
        self.connections = 0
        self.gone = threading.Semaphore(0)  # one for each connection that it has ended
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def __enter__(self) -> Canned:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number, self.connections = self.connections, self.connections + 1
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while self._one(connection, stream, number):
                pass
        self.gone.release()

    def _one(self, connection: socket.socket, stream: BinaryIO, number: int) -> bool:
        line = stream.readline().decode("latin-1").strip()
        if not line:
            return False
        headers: dict[str, str] = {}
        while pair := stream.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = pair.partition(": ")
            headers[name.lower()] = value
        if "expect" in headers:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.read(int(headers.get("content-length", "0")))
        asked = Asked(number, line, headers, body)
        self.asked.append(asked)
        given = self.reply(asked)
        pieces = re.findall(rb"(?s).", given) if self.piecewise else [given]
        for piece in pieces:
            connection.sendall(piece)
        return bool(given) and len(self.asked) not in self.hangs_up
