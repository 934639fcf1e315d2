"""The preview's pages: three files, and the stream that feeds them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from common.http import server as web
from common.runtime import sockets
from common.service import Service
from detector import metrics
from detector.preview.access import Access
from detector.preview.view import MAX_VIEWERS, Preview, TooManyViewers
from detector.settings import DetectorSettings

log = logging.getLogger(__name__)

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
WRONG_PASSWORD_PAUSE = 1.0  # seconds; with the server's limit of connections, 32 tries a second
STALLED = 5.0  # seconds after which a viewer who takes nothing is let go
REFUSALS = {
    "host": (403, "Ask for this page by http://localhost or http://127.0.0.1, with its port."),
    "origin": (403, "Only the preview's own page may ask for this."),
    "no_password": (401, "This page has a password: PREVIEW_PASSWORD of the detector."),
    "password": (401, "This is not the password: it is PREVIEW_PASSWORD of the detector."),
    "viewers": (503, f"{MAX_VIEWERS} others are looking already: there is room for no more."),
}


def serve(settings: DetectorSettings, service: Service) -> Preview:
    """The preview, on the port of the settings; with PREVIEW=0 one that is never wanted.

    Raises:
        SettingsError: the address is taken or is not one of this machine.
    """
    about = {
        "camera": settings.camera_name,
        "device": settings.device,
        "min_face": settings.min_face,
    }
    preview = Preview(service.health, about)
    if settings.preview:
        own = pages(preview, settings.access)
        server = service.web
        if settings.access.alone:
            context = settings.access.context()
            server = web.listen(settings.http_host, settings.http_port, own, context)
        else:
            server.pages.update(own)
        log.info("preview on %s", server.url)
    return preview


def pages(preview: Preview, access: Access) -> dict[str, web.Page]:
    """By path, each behind `access`."""
    folder = Path(__file__).parent
    found = {"/live": _stream(preview)}
    for path, (name, kind) in FILES.items():
        found[path] = _file((folder / name).read_bytes(), kind)
    return {path: _guarded(page, access, is_page=path == "/") for path, page in found.items()}


def _guarded(page: web.Page, access: Access, is_page: bool) -> web.Page:
    def guarded(request: web.Request) -> None:
        reason = access.refusal(request.headers, is_page)
        if reason is None:
            page(request)
            return
        if reason != "no_password":  # with which every visit begins
            metrics.PREVIEW_REFUSED.labels(reason).inc()
        if reason == "password":
            time.sleep(WRONG_PASSWORD_PAUSE)
        _refuse(request, reason)

    return guarded


def _refuse(request: web.Request, reason: str) -> None:
    status, sentence = REFUSALS[reason]
    headers = dict(HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="facepipe preview", charset="UTF-8"'
    request.answer(status, "text/plain; charset=utf-8", f"{sentence}\n".encode(), headers)


def _file(body: bytes, kind: str) -> web.Page:
    return lambda request: request.answer(200, kind, body, HEADERS)


def _stream(preview: Preview) -> web.Page:
    def stream(request: web.Request) -> None:
        try:
            with preview.watched() as parts:
                _send(request, parts)
        except TooManyViewers:
            metrics.PREVIEW_REFUSED.labels("viewers").inc()
            _refuse(request, "viewers")

    return stream


def _send(request: web.Request, parts: Iterator[bytes]) -> None:
    with contextlib.suppress(OSError):  # the viewer has left, or has stalled
        sockets.tune(request.connection)  # what waits should wait where it can still be replaced
        request.connection.settimeout(STALLED)
        request.begin(200, "application/octet-stream", HEADERS)
        if request.command == "HEAD":
            return
        for part in parts:
            request.wfile.write(part)
