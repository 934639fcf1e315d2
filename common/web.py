"""`/healthz` and `/metrics` on one port, from a thread of their own: they tell of a stuck loop."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import __version__
from common.health import Health
from common.settings import SettingsError


def serve(host: str, port: int, service: str, health: Health) -> ThreadingHTTPServer:
    """Start serving; the port that was taken is `server.server_address[1]` (0 takes a free one).

    Raises:
        SettingsError: the address is taken or is not one of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        server_version = "facepipe"
        sys_version = ""
        timeout = 10  # seconds; a client that sends nothing holds a thread no longer

        def do_GET(self) -> None:
            if self.path == "/healthz":
                stuck = health.stuck()
                self._answer(503 if stuck else 200, "application/json", _report(stuck))
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            else:
                self._answer(404, "text/plain", b"there are /healthz and /metrics\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing per request."""

    def _report(stuck: list[str]) -> bytes:
        reasons = health.reasons()
        report = {
            "service": service,
            "version": __version__,
            "alive": not stuck,
            "stuck": stuck,
            "status": "degraded" if reasons or stuck else "well",
            "reasons": reasons,
        }
        return json.dumps(report).encode() + b"\n"

    class _Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise SettingsError(
            [f"HTTP_HOST and HTTP_PORT: cannot listen on {host}:{port}: {error.strerror or error}"]
        ) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
