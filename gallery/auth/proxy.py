"""What a proxy in front changes: the client's address, its TLS, and the path of the pages."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class ProxyMiddleware:
    """An ASGI app that gives `app` each request as the client sent it to the proxy.

    base: the path below which a proxy serves the pages, such as /faces, or nothing. It may take
    that path away from requests, or leave it there.
    trusted: addresses and networks of proxies, with commas between them. From these alone are
    X-Forwarded-For and X-Forwarded-Proto believed: anybody can write them.
    """

    def __init__(self, app: ASGIApp, base: str, trusted: str) -> None:
        self._app = app
        self._base = base
        self._entrance = ProxyHeadersMiddleware(self._enter, trusted)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._entrance(scope, receive, send)  # type: ignore[arg-type]

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["base"] = self._base
        if "path" in scope:
            scope["path"] = without_base(scope["path"], self._base)
            raw: bytes = scope.get("raw_path") or b""
            scope["raw_path"] = without_base(raw.decode("latin-1"), self._base).encode("latin-1")
        await self._app(scope, receive, send)


def without_base(path: str, base: str) -> str:
    """A path as the pages know it, whether `base` is still before it or not."""
    if base and (path == base or path.startswith((f"{base}/", f"{base}?"))):
        rest = path[len(base) :]
        return rest if rest.startswith("/") else f"/{rest}"
    return path


def base_of(scope: Scope) -> str:
    """The prefix of all the gallery's paths in a browser's address bar."""
    base: str = scope.get("state", {}).get("base", "")
    return base


def is_secure(scope: Scope) -> bool:
    """Does TLS protect the request, be it as far as the proxy only?"""
    secure: bool = scope["scheme"] == "https"
    return secure


def cookie(name: str, scope: Scope) -> str:
    """A cookie's name; with TLS, one that no neighbour under the same domain can set."""
    if not is_secure(scope):
        return f"facepipe_{name}"
    # Browsers take __Host- for the path / only.
    return f"{'__Secure-' if base_of(scope) else '__Host-'}facepipe_{name}"
