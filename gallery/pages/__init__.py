"""The pages, one module for what belongs together."""

from __future__ import annotations

from starlette.routing import BaseRoute

from gallery.pages import care, faces, files, fleet, images, live, single


def routes() -> list[BaseRoute]:
    return [
        *files.routes(),
        *faces.routes(),
        *single.routes(),
        *images.routes(),
        *live.routes(),
        *care.routes(),
        *fleet.routes(),
    ]
