"""The pages' own files: style, scripts, icon."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gallery.pages.shown import STATIC, version

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_VERSION = re.compile(r"v-[0-9a-f]{12}/")


async def file(request: Request) -> Response:
    """`/static/v-<digest>/page.js`: the scripts import each other under the same digest."""
    asked = request.path_params["path"]
    named = _VERSION.match(asked)
    name = asked[named.end() :] if named else asked
    path = STATIC / name
    known = {str(one.relative_to(STATIC)) for one in STATIC.rglob("*") if one.suffix in TYPES}
    if name not in known:
        raise HTTPException(404, "There is no such file.")
    current = named is not None and named[0] == f"v-{version()}/"
    cache = "public, max-age=31536000, immutable" if current else "no-cache"
    return FileResponse(path, headers={"Cache-Control": cache}, media_type=TYPES[path.suffix])


def routes() -> list[Route]:
    return [Route("/static/{path:path}", file)]
