"""A link that can be cut: a TCP proxy on loopback with faults to order."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType

from tests.harness.wait import free_port

_CHUNK = 4096
_RST = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


class Proxy:
    """Modes, to be set at any time, for all connections:

    pass: bytes go both ways, at `rate` bytes a second each if set;
    hole: connections stay and can be made, and every byte vanishes;
    stall: connections stay, and nothing is read from them;
    refuse: connections are reset, and new ones too.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.mode = "pass"
        self.rate: float | None = None
        self.passed = 0  # bytes, both ways
        self._target = target
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

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
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while self._open:
                while self.mode == "stall" and self._open:
                    time.sleep(0.02)
                data = source.recv(_CHUNK)
                if not data:
                    break
                if self.mode == "hole":
                    continue
                sink.sendall(data)
                self.passed += len(data)
                if self.rate:
                    time.sleep(len(data) / self.rate)
        except OSError:
            pass  # the connection ended: so does its pump
        for sock in (source, sink):
            with contextlib.suppress(OSError):  # it was closed already
                sock.shutdown(socket.SHUT_RDWR)
