"""A stand-in of IBM Cloud IAM's token endpoint on loopback, whose tokens live as short as told."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

API_KEY = "test-api-key"
GRANT = "urn:ibm:params:oauth:grant-type:apikey"


class Iam:
    """`mode` to be set at any time: pass, error (500), html (200, no JSON), hang (no answer)."""

    def __init__(self, life: float = 3600.0) -> None:
        self.life = life  # seconds
        self.mode = "pass"
        self.issued: dict[str, float] = {}  # each token, and when it ends
        self._end = threading.Event()
        handler = type("Handler", (_Handler,), {"iam": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Iam:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/identity/token"

    def issue(self) -> str:
        token = f"token-{len(self.issued)}"
        self.issued[token] = time.monotonic() + self.life
        return token

    def knows(self, token: str) -> bool:
        """Is this one of ours that has not expired?"""
        return time.monotonic() < self.issued.get(token, 0.0)

    def revoke(self) -> None:
        self.issued = dict.fromkeys(self.issued, 0.0)

    def hold(self) -> None:
        self._end.wait()


class _Handler(BaseHTTPRequestHandler):
    iam: Iam

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body))
        if self.iam.mode == "hang":
            self.iam.hold()
        elif self.iam.mode == "error":
            self._answer(500, b'{"errorMessage": "try later"}')
        elif self.iam.mode == "html":
            self._answer(200, b"<html>a captive portal</html>")
        elif form != {"grant_type": GRANT, "apikey": API_KEY}:
            self._answer(400, b'{"errorMessage": "Provided API key could not be found."}')
        else:
            token = {"access_token": self.iam.issue(), "expires_in": self.iam.life}
            self._answer(200, json.dumps(token).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
