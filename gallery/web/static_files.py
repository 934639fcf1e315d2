"""The pages' own files: styles, scripts, icon."""

from __future__ import annotations

import re

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gallery.web.rendering import STATIC, version

_VERSION = re.compile(r"v-[0-9a-f]{12}/")


class VersionedFiles(StaticFiles):
    """Starlette's static files below `v-<digest>/`, where browsers may keep them for ever.

    Scripts import each other by relative addresses, and so under the same digest.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at `path`, with or without a version in front."""
        prefix = _VERSION.match(path)
        response = await super().get_response(path[prefix.end() :] if prefix else path, scope)
        current = prefix is not None and prefix[0] == f"v-{version()}/"
        cache = "public, max-age=31536000, immutable" if current else "no-cache"
        response.headers["Cache-Control"] = cache
        return response


def routes() -> list[Mount]:
    # Compressed: there are no secrets in these files that their size could give away.
    return [Mount("/static", GZipMiddleware(VersionedFiles(directory=STATIC)))]
