"""The preview's pages: its files, and the stream that feeds them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs

from common.http import server as web
from common.http.names import ADVICE, UNKNOWN
from common.runtime import sockets
from common.runtime.health import Health
from common.service import Service
from detector import metrics
from detector.preview.access import Access, PreviewOptions
from detector.preview.view import MAX_VIEWERS, Preview, TooManyViewers

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
STALLED = 5.0  # seconds after which a viewer that reads nothing is disconnected
REFUSALS = {
    "host": (UNKNOWN, ADVICE),
    "origin": (403, "Only the preview's own page may request this."),
    "no_password": (401, "This page needs a password: the detector's PREVIEW_PASSWORD."),
    "password": (401, "Wrong password. It is the detector's PREVIEW_PASSWORD."),
    "camera": (404, "There is no camera of this name."),
    "viewers": (503, f"{MAX_VIEWERS} people are watching already. Please try again later."),
}


def serve(
    options: PreviewOptions, service: Service, healths: Mapping[str, Health]
) -> dict[str, Preview]:
    """Serve the preview's pages; returns a preview for each camera, by name, in their order.

    They stay unwatched with PREVIEW=0. `healths`: the part of the service's that is the camera's.

    Raises:
        SettingsError: the address is taken or is not one of this machine.
    """
    previews = {name: Preview(healths[name], about) for name, about in options.about.items()}
    if options.enabled:
        own = pages(previews, options.access)
        server = service.web
        if options.access.alone:
            server = web.listen(options.host, options.port, own, options.access.context())
        else:
            server.pages.update(own)
        log.info("preview on %s", server.url)
    return previews


def pages(previews: Mapping[str, Preview], access: Access) -> dict[str, web.Page]:
    """The pages by path, each behind `access`."""
    folder = Path(__file__).parent
    found = {"/live": _stream(previews), "/cameras": _glances(previews)}
    for path, (name, kind) in FILES.items():
        found[path] = _file((folder / name).read_bytes(), kind)
    return {path: _guard(page, access, is_page=path == "/") for path, page in found.items()}


def _guard(page: web.Page, access: Access, is_page: bool) -> web.Page:
    def serve_page(request: web.Request) -> None:
        reason = access.refusal(request.headers, is_page)
        if reason is None:
            page(request)
            return
        if reason != "no_password":  # every visit begins with this one
            metrics.PREVIEW_REFUSED.labels(reason).inc()
        if reason == "password":
            time.sleep(WRONG_PASSWORD_PAUSE)
        _refuse(request, reason)

    return serve_page


def _refuse(request: web.Request, reason: str) -> None:
    status, sentence = REFUSALS[reason]
    headers = dict(HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="facepipe preview", charset="UTF-8"'
    request.answer(status, "text/plain; charset=utf-8", f"{sentence}\n".encode(), headers)


def _file(body: bytes, kind: str) -> web.Page:
    return lambda request: request.answer(200, kind, body, HEADERS)


def _glances(previews: Mapping[str, Preview]) -> web.Page:
    """All cameras, small: a part of each."""

    def answer(request: web.Request) -> None:
        body = b"".join(preview.glance() for preview in previews.values())
        request.answer(200, "application/octet-stream", body, HEADERS)

    return answer


def _stream(previews: Mapping[str, Preview]) -> web.Page:
    """One camera, large: that of `?camera=`, or the first."""

    def stream(request: web.Request) -> None:
        query = parse_qs(request.path.partition("?")[2])
        preview = previews.get(query.get("camera", [next(iter(previews))])[0])
        if preview is None:
            _refuse(request, "camera")
            return
        try:
            with preview.watch() as parts:
                _send(request, parts)
        except TooManyViewers:
            metrics.PREVIEW_REFUSED.labels("viewers").inc()
            _refuse(request, "viewers")

    return stream


def _send(request: web.Request, parts: Iterator[bytes]) -> None:
    with contextlib.suppress(OSError):  # the viewer has left, or has stalled
        sockets.tune(request.connection)  # newer parts can replace what waits here
        request.connection.settimeout(STALLED)
        request.begin(200, "application/octet-stream", HEADERS)
        if request.command == "HEAD":
            return
        for part in parts:
            request.wfile.write(part)
