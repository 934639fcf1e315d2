"""The link between forwarder and cloud broker, to be cut: a TCP relay on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading


class Link:
    """Passes bytes on while `up`; `cut()` closes every connection and takes no new one."""

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.up = True
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    def cut(self) -> None:
        self.up = False
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):  # its own end came first
                    sock.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.up = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if not self.up:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()  # the broker is gone: the forwarder will notice
                continue
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with self._lock:
            self._open.add(source)
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass  # one side is gone; the other one hears of it now
        finally:
            with self._lock:
                self._open.discard(source)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
            source.close()
