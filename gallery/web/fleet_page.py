"""The fleet's page: a row per device, opened to its services and charts of the last day."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gallery.fleet import Fleet, presentation
from gallery.fleet.samples import EVERY
from gallery.fleet.summary import state_of
from gallery.web import rendering

QUERY_MAX = 200  # characters


def routes() -> list[Route]:
    return [
        Route("/fleet", fleet, name="fleet"),
        Route("/fleet/samples", samples, name="fleet samples"),
    ]


async def fleet(request: Request) -> Response:
    """All devices; `?device=` opens one, `?q=` finds by name, `?part=` gives a part of the page."""
    known: Fleet = request.app.state.gallery.fleet
    parameters = request.query_params
    opened = parameters.get("device", "")[:QUERY_MAX]
    if parameters.get("part") == "device":
        return _device(request, known, opened)
    summaries = known.devices()
    query = parameters.get("q", "").strip().lower()[:QUERY_MAX]
    rows = [presentation.row(one) for one in summaries if query in one.name.lower()]
    template = "fleet_rows.html" if parameters.get("part") == "rows" else "fleet.html"
    return rendering.page(
        request,
        template,
        rows=rows,
        all=len(summaries),
        cells=presentation.CELLS,
        query=query,
        opened=opened,
        services=_services(known, opened),
        connected=known.is_connected,
    )


def _device(request: Request, known: Fleet, device: str) -> Response:
    services = _services(known, device)
    status = 200 if services else 404
    return rendering.page(request, "fleet_services.html", status, services=services)


def _services(known: Fleet, device: str) -> list[dict[str, Any]]:
    instances = known.services(device)
    now = time.time()
    return [presentation.service(one, state_of(one, instances), now) for one in instances]


async def samples(request: Request) -> Response:
    """The last day of a device's services as JSON, five minutes a value; `null` is a gap."""
    parameters = request.query_params
    series = await request.app.state.gallery.fleet.samples(parameters.get("device", "")[:QUERY_MAX])
    rows = [
        {
            "service": one.name.service,
            "instance": one.name.instance,
            "begin": one.begin,
            "figures": {name: _short(values) for name, values in one.values.items()},
        }
        for one in series
        if parameters.get("service", one.name.service) == one.name.service
        and parameters.get("instance", one.name.instance) == one.name.instance
    ]
    return JSONResponse({"every": EVERY, "services": rows}, headers=rendering.PRIVATE)


def _short(values: list[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.4g}") for value in values]
