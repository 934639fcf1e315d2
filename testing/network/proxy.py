"""A link that can be cut: a TCP proxy on loopback with faults to order."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

from testing.host.wait import free_port

_CHUNK = 4096
_RST = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST

Change = Callable[[bytes], bytes]


def _unchanged(data: bytes) -> bytes:
    return data


class Proxy:
    """Modes, to be set at any time, for all connections:

    pass: bytes go both ways, at `rate` bytes a second each if set, and `lag` seconds later;
    hole: connections stay and can be made, and every byte vanishes; one that lost some is dead;
    stall: connections stay, and nothing is read from them;
    refuse: connections are reset, and new ones too.

    `upward` makes, for each connection, what looks at the bytes to the target, or alters them.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.mode = "pass"
        self.rate: float | None = None
        self.lag = 0.0
        self.upward: Callable[[], Change] = lambda: _unchanged
        self.passed = 0  # bytes, both ways
        self._target = target
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._changes: dict[socket.socket, Change] = {}
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._late: queue.SimpleQueue[tuple[float, socket.socket, bytes]] = queue.SimpleQueue()
        for work in (self._accept, self._deliver_late):
            threading.Thread(target=work, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._open = False
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Cut every connection by RST."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for sock in pair:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it was closed already
                sock.close()

    def refuse(self) -> None:
        self.mode = "refuse"
        self.reset()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self.mode == "refuse":
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                near.close()
                continue
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(None)
            self._pairs.append((near, far))
            self._changes[near] = self.upward()
            for way in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _deliver_late(self) -> None:
        while self._open:
            with contextlib.suppress(queue.Empty):
                due, sink, data = self._late.get(timeout=1)
                time.sleep(max(0.0, due - time.monotonic()))
                with contextlib.suppress(OSError):  # the connection ended meanwhile
                    sink.sendall(data)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        change = self._changes.pop(source, _unchanged)
        dead = False
        try:
            while self._open:
                while self.mode == "stall" and self._open:
                    time.sleep(0.02)
                data = source.recv(_CHUNK)
                if not data:
                    break
                dead = dead or self.mode == "hole"
                if dead:
                    continue  # without what was lost, TCP would not deliver what follows either
                data = change(data)
                if self.lag:
                    self._late.put((time.monotonic() + self.lag, sink, data))
                else:
                    sink.sendall(data)
                self.passed += len(data)
                if self.rate:
                    time.sleep(len(data) / self.rate)
        except OSError:
            pass  # the connection ended: so does its pump
        for sock in (source, sink):
            with contextlib.suppress(OSError):  # it was closed already
                sock.shutdown(socket.SHUT_RDWR)
