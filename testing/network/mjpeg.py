"""A network camera: MJPEG over HTTP on loopback, with faults to order."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import cv2

from testing.clips.clips import Image
from testing.host.wait import free_port


class Mjpeg:
    """Plays `images` again and again to whoever asks. Modes, to be set at any time:

    play: `fps` frames a second; set `fps` low for a slow camera;
    spoil: frames come whose bytes are no JPEG;
    stall: connections stay, and no byte comes;
    end: connections are closed in order, and new ones too, after one frame.
    """

    def __init__(
        self,
        images: Sequence[Image],
        port: int | None = None,
        fps: float = 25.0,
        form: str = "multipart",
        login: tuple[str, str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """form: multipart, joined (one JPEG after the other), or snapshot (one for each request).

        login: user and password that it wants (Basic, RFC 7617). host: the address to listen at.
        """
        self.form = form
        self.login = login
        self.port = port or free_port()
        self.mode = "play"
        self.fps = fps
        self.connections = 0
        self.sent = 0  # frames, over all connections
        self.paths: list[str] = []
        self.show(images)
        self._open = True
        handler = type("Handler", (_Handler,), {"camera": self})
        self._server = ThreadingHTTPServer((host, self.port), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def __enter__(self) -> Mjpeg:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._open = False
        self._server.shutdown()
        self._server.server_close()

    def show(self, images: Sequence[Image]) -> None:
        """Play these from now on."""
        self._jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in images]

    def snapshot(self, handler: _Handler) -> None:
        """Send one frame, after the time that it takes to come."""
        time.sleep(1 / self.fps)
        handler.wfile.write(self._jpegs[self.sent % len(self._jpegs)])
        self.sent += 1

    def parts(self, handler: _Handler) -> None:
        """Send frames until ordered otherwise."""
        while self._open:
            if self.mode == "stall":
                time.sleep(0.02)
                continue
            jpegs = self._jpegs
            jpeg = jpegs[self.sent % len(jpegs)]
            if self.mode == "spoil":
                jpeg = jpeg[:300] + bytes(len(jpeg) - 300)
            if self.form == "multipart":
                head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                jpeg = head.encode() + jpeg + b"\r\n"
            handler.wfile.write(jpeg)
            self.sent += 1
            if self.mode == "end":
                return
            time.sleep(1 / self.fps)


_TYPES = {
    "multipart": "multipart/x-mixed-replace;boundary=cut",
    "joined": "application/octet-stream",
    "snapshot": "image/jpeg",
}


class _Handler(BaseHTTPRequestHandler):
    camera: Mjpeg

    def do_GET(self) -> None:
        if not self._is_allowed():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.camera.connections += 1
        self.camera.paths.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", _TYPES[self.camera.form])
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever watched is gone
            if self.camera.form == "snapshot":
                self.camera.snapshot(self)
            else:
                self.camera.parts(self)

    def _is_allowed(self) -> bool:
        if self.camera.login is None:
            return True
        wanted = base64.b64encode(":".join(self.camera.login).encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def log_message(self, *_: object) -> None:
        """Say nothing per request."""
