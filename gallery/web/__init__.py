"""The pages, one module for what belongs together."""

from __future__ import annotations

from starlette.routing import BaseRoute

from gallery.web import deletion_dialog, detail, events, fleet_page, grid, images, static_files


def routes() -> list[BaseRoute]:
    return [
        *static_files.routes(),
        *grid.routes(),
        *detail.routes(),
        *images.routes(),
        *events.routes(),
        *deletion_dialog.routes(),
        *fleet_page.routes(),
    ]
