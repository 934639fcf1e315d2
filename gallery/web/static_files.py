"""The pages' own files: style, scripts, icon."""

from __future__ import annotations

import functools
import gzip
import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gallery.web.rendering import STATIC, version

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_VERSION = re.compile(r"v-[0-9a-f]{12}/")


@functools.lru_cache(maxsize=1)
def _files() -> dict[str, tuple[str, bytes, bytes]]:
    """By name: the type, the bytes, and the same compressed, which secrets of nobody are in."""
    found = {}
    for path in STATIC.rglob("*"):
        if path.suffix in TYPES:
            content = path.read_bytes()
            name = str(path.relative_to(STATIC))
            found[name] = TYPES[path.suffix], content, gzip.compress(content, mtime=0)
    return found


async def file(request: Request) -> Response:
    """`/static/v-<digest>/page.js`: the scripts import each other under the same digest."""
    asked = request.path_params["path"]
    named = _VERSION.match(asked)
    name = asked[named.end() :] if named else asked
    if name not in _files():
        raise HTTPException(404, "There is no such file.")
    kind, content, compressed = _files()[name]
    tag = f'W/"{version()}"'
    current = named is not None and named[0] == f"v-{version()}/"
    cache = "public, max-age=31536000, immutable" if current else "no-cache"
    headers = {"Cache-Control": cache, "ETag": tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(compressed, 200, headers | {"Content-Encoding": "gzip"}, kind)
    return Response(content, 200, headers, kind)


def routes() -> list[Route]:
    return [Route("/static/{path:path}", file)]
