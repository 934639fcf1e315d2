"""Serves pages from separate threads, so that health is reported even while a loop is stuck.

`serve` gives `/healthz` and `/metrics`; a service may add pages to them, or open a second server
for its pages with `listen`, with TLS.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import __version__
from common.http.quota import ConnectionQuota
from common.runtime.health import Health
from common.runtime.logs import RateLimitedLogger
from common.settings import SettingsError

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32  # at a time, each of which is a thread; one more is closed at once
# Of these are kept for the machine itself, whose health check must get through a crowd of others.
FOR_LOOPBACK = 8
HEAD_WITHIN = 10.0  # seconds for the whole head of a request, however it is dripped
TIMEOUT = 10.0  # seconds; a client that sends or takes nothing holds a thread no longer


class Request(BaseHTTPRequestHandler):
    """One request, which a page answers."""

    server: HttpServer
    server_version = "facepipe"
    sys_version = ""
    timeout = TIMEOUT

    def setup(self) -> None:
        super().setup()
        # `timeout` is of each read alone: a head that comes byte by byte would hold a thread.
        self._deadline = threading.Timer(HEAD_WITHIN, self._hang_up)
        self._deadline.daemon = True
        self._deadline.start()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):  # it has gone by itself
            self.connection.shutdown(socket.SHUT_RDWR)

    def parse_request(self) -> bool:
        try:
            return super().parse_request()
        finally:
            self._deadline.cancel()

    def finish(self) -> None:
        self._deadline.cancel()
        super().finish()

    def do_HEAD(self) -> None:
        """As GET, without the body: many monitors and load balancers ask so."""
        self.do_GET()

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is not None:
            page(self)
        else:
            known = ", ".join(self.server.pages)
            self.answer(404, "text/plain", f"available: {known}\n".encode())

    def answer(
        self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """All of an answer, at once."""
        self.begin(status, kind, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        """The head of an answer; what follows is written to `wfile`."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing per request."""


Page = Callable[[Request], None]


class HttpServer(ThreadingHTTPServer):
    """Pages by path, which may be added at any time. It runs until its `shutdown()`."""

    daemon_threads = True

    def __init__(
        self, host: str, port: int, pages: dict[str, Page], context: ssl.SSLContext | None = None
    ) -> None:
        self.pages = pages
        self._context = context
        self._limited_log = RateLimitedLogger(log)
        self._quota = ConnectionQuota(MAX_CONNECTIONS, FOR_LOOPBACK)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Request)

    @property
    def url(self) -> str:
        """Where its pages are, with the port that was taken."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http{'s' if self._context else ''}://{name}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._quota.enter(client_address[0]):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._quota.leave(client_address[0])
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._quota.leave(client_address[0])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread, where a slow handshake holds up nobody."""
        if self._context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(TIMEOUT)
        with self._context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, _: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self._limited_log.error(
                "fault", "a bug in this program, while answering a request", error
            )
        else:  # the client has gone, or speaks no TLS, or not ours
            log.debug("%s: %s", client_address, error)


def listen(
    host: str,
    port: int,
    pages: dict[str, Page],
    context: ssl.SSLContext | None = None,
    setting: str = "HTTP_PORT",
) -> HttpServer:
    """Start a server of `pages`; port 0 takes a free one. `setting` names the port in errors.

    Raises:
        SettingsError: the address is taken or is not one of this machine.
    """
    try:
        server = HttpServer(host, port, pages, context)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(
            [f"HTTP_HOST and {setting}: cannot listen on {host}:{port}: {reason}"]
        ) from None
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def serve(
    host: str, port: int, service: str, health: Health, setting: str = "HTTP_PORT"
) -> HttpServer:
    """Start serving `/healthz` and `/metrics`; else as `listen`.

    Raises:
        SettingsError: the address is taken or is not one of this machine.
    """

    def healthz(request: Request) -> None:
        stuck = health.stuck()
        request.answer(503 if stuck else 200, "application/json", _report(service, health, stuck))

    def metrics(request: Request) -> None:
        request.answer(200, CONTENT_TYPE_LATEST, generate_latest())

    return listen(host, port, {"/healthz": healthz, "/metrics": metrics}, setting=setting)


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, with the certificate (chain) and key of these PEM files.

    Raises:
        OSError: they cannot be read, or do not belong together (`ssl.SSLError`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Without a password, OpenSSL would ask for that of an encrypted key on the terminal.
    context.load_cert_chain(cert, key, password="")
    return context


def _report(service: str, health: Health, stuck: list[str]) -> bytes:
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
