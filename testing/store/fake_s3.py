"""An S3 endpoint on loopback that fails to order; what it takes, it checks like a real one."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from common.protocol.keys import PROBE
from testing.store.nanio import BUCKET, reached_at

ANSWERS = {
    "slow_down": (503, "SlowDown"),
    "busy": (429, "TooManyRequests"),
    "denied": (403, "AccessDenied"),
    "wrong_key": (403, "InvalidAccessKeyId"),
    "no_bucket": (404, "NoSuchBucket"),
    "not_found": (404, ""),
    "no_s3": (400, ""),
    "no_etag": (200, ""),
    "error": (500, "InternalError"),
    "too_much": (400, "MetadataTooLarge"),
    "teapot": (418, "ImATeapot"),
    "headers": (431, ""),
}
_RST = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


class FakeS3:
    """Faults, one for each of the next requests in `script`, or for all by `always`:

    one of ANSWERS; hang: no answer until the end; wait: none until `gate` is open;
    reset: the connection breaks when the body is there; lost: it breaks when the object is
    stored; altered: a byte of the body changes on its way here.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: deque[str] = deque()
        self.always = ""
        self.dislikes: dict[str, str] = {}  # the fault of an object by its metadata `note`
        self.takes: Callable[[str], bool] | None = None  # is this Bearer token good?
        self.objects: dict[str, bytes] = {}
        self.writes: list[str] = []  # the key of each PUT that was stored
        self.failed: list[str] = []  # the fault of each request that had one
        self.gate = threading.Event()
        self._lock = threading.Lock()
        self._end = threading.Event()
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = int(self._server.server_address[1])
        self._scheme = "https" if tls else "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> FakeS3:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The processor's settings for this store, by HMAC (signatures are not checked here)."""
        return reached_at(self.endpoint)

    @property
    def faces(self) -> dict[str, bytes]:
        """Key to bytes of all but the processor's probe."""
        with self._lock:
            objects = dict(self.objects)
        return {key: body for key, body in objects.items() if not key.startswith(".facepipe/")}

    def fault(self, authorization: str) -> str:
        with self._lock:
            fault = self.script.popleft() if self.script else self.always
            token = authorization.removeprefix("Bearer ")
            if not fault and self.takes is not None and not self.takes(token):
                fault = "denied"
            if fault:
                self.failed.append(fault)
            return fault

    def keep(self, key: str, body: bytes) -> None:
        with self._lock:
            self.objects[key] = body
            self.writes.append(key)

    def hold(self) -> None:
        """Until the end."""
        self._end.wait()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side may end, or be killed, in the middle of a request."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: FakeS3

    def do_PUT(self) -> None:
        body = self._body()
        bucket, _, key = self.path.lstrip("/").partition("/")
        once = self.headers.get("If-None-Match") == "*"
        if once and key == PROBE:  # it comes right behind the first, and has no fault of its own
            self._answer(412, "PreconditionFailed")
            return
        fault = self.store.fault(self.headers.get("Authorization", ""))
        fault = fault or self.store.dislikes.get(self.headers.get("x-amz-meta-note", ""), "")
        if self._failed(fault):
            return
        if bucket != BUCKET:
            self._answer(*ANSWERS["no_bucket"])
        elif once and key in self.store.objects:
            self._answer(412, "PreconditionFailed")
        elif not self._whole(body[:-1] + b"?" if fault == "altered" else body):
            self._answer(400, "BadDigest")
        else:
            self.store.keep(key, body)
            if fault == "lost":
                self._break()
            else:
                self._answer(200, "", kept=True)

    def do_GET(self) -> None:
        """Of an object; all other requests fail, in the way that is asked for."""
        self._body()
        if not self._failed(self.store.fault(self.headers.get("Authorization", ""))):
            body = self.store.objects.get(self.path.lstrip("/").partition("/")[2])
            if body is None:
                self._answer(404, "NoSuchKey")
            else:
                self._answer(200, "", body=body)

    do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _failed(self, fault: str) -> bool:
        """Whether the request failed by this fault; it is answered then, or never will be."""
        if fault == "wait":
            self.store.gate.wait()
        elif fault == "hang":
            self.store.hold()
            self.close_connection = True
        elif fault == "reset":
            self._break()
        elif fault in ANSWERS:
            self._answer(*ANSWERS[fault])
        return fault in ("hang", "reset", *ANSWERS)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _whole(self, body: bytes) -> bool:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return self.headers["x-amz-checksum-sha256"] == digest

    def _answer(self, status: int, code: str, kept: bool = False, body: bytes = b"") -> None:
        if code:
            body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
        self.send_response(status)
        if kept:
            self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _break(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
