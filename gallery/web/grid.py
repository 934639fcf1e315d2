"""The faces: the grid and its parts, and how many there are by day and hour."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gallery.fleet.advice import advise
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.index.query import VISIT, Filter
from gallery.state import State
from gallery.web import pagination, query_params
from gallery.web.query_params import Bad, View
from gallery.web.rendering import PRIVATE, gallery, page, zone

TILES = 60  # in one request
FACTS_WITHIN = 4.0  # seconds in which the store may say what it knows of a face


async def grid(request: Request) -> Response:
    state = gallery(request)
    view, place = query_params.view(request.query_params), zone(request)
    after = query_params.cursor(request.query_params.get("after"))
    position = state.hub.position  # before the index is asked: what comes meanwhile is sent again
    context = await state.local.run(_grid, state.index, view, place, after)
    _have_read(state, view, context["chunk"], place)
    context |= _links(view, context.pop("chunk"))
    return page(
        request,
        "faces.html",
        orders=query_params.ORDERS,
        kinds=query_params.KINDS,
        choices=query_params.SHOTS,
        position=position,
        live=view.order == "newest" and view.day is None and after is None,
        paged=after is not None or view.day is not None,
        **_advice(state),
        **context,
    )


def _advice(state: State) -> dict[str, Any]:
    """What advice.html says while there are no faces."""
    settings, progress = state.settings, state.sync.progress
    return {
        "advice": advise(state.fleet),
        "store_trouble": state.standing.text,
        "reading": progress.listing and not progress.complete,
        "bucket": settings.bucket,
        "endpoint": settings.endpoint,
        "key_template": settings.key_template,
    }


async def advice(request: Request) -> Response:
    """What to do while there are no faces, for a page that is open meanwhile."""
    return page(request, "advice.html", **_advice(gallery(request)))


def _grid(index: Index, view: View, place: datetime.tzinfo, after: str | None) -> dict[str, Any]:
    """In a worker: all that the index has to say for a page."""
    whole = dataclasses.replace(view.filter(place), until=None)
    devices = index.devices()
    chosen = [device for device in devices if view.device in ("", device.name)]
    return {
        "chunk": pagination.chunk(index, view, place, after),
        "totals": index.totals(whole),
        "devices": devices,
        "cameras": sorted({camera for device in chosen for camera in device.cameras}),
    }


def _links(view: View, chunk: pagination.Chunk) -> dict[str, Any]:
    """What days.html shows of a chunk. What follows is stacked as this is."""
    shots = "visit" if chunk.stacked else view.shots
    return {
        "view": view,
        "days": chunk.days,
        "shots": chunk.shots,
        "stacked": chunk.stacked,
        "next": chunk.next,
        "more": view.query(shots=shots),
        "older": view.query(after=chunk.next, shots=shots),
        "query": view.query(day=None, hour=None, shots=shots),
    }


async def more(request: Request) -> Response:
    state = gallery(request)
    view, place = query_params.view(request.query_params), zone(request)
    after = query_params.cursor(request.query_params.get("after"))
    most = (
        query_params.count(request.query_params.get("chunks"), pagination.MOST) * pagination.FACES
    )
    chunk = await state.local.run(pagination.chunk, state.index, view, place, after, most)
    _have_read(state, view, chunk, place)
    return page(request, "days.html", **_links(view, chunk))


async def tiles(request: Request) -> Response:
    """Tiles in the order of the request, without faces that are gone: of a face by its ref, of a
    visit by its name."""
    state = gallery(request)
    refs = request.query_params.get("refs", "").split(",")
    if len(refs) > TILES:
        raise Bad(f"At most {TILES} tiles can be requested at once.")
    view = query_params.view(request.query_params)
    for name in refs:
        if not VISIT.fullmatch(name):
            query_params.ref(name)
    entries, shots = await state.local.run(_entries, state.index, refs)
    query = view.query(day=None, hour=None)
    return page(request, "tiles.html", entries=entries, shots=shots, query=query)


def _entries(index: Index, names: list[str]) -> tuple[list[Entry], dict[int, int]]:
    """Faces and leads of visits by their names, and how many shots these visits have."""
    numbers = [int(name, 16) for name in names if VISIT.fullmatch(name)]
    leads = {lead.visit_name: lead for lead in index.leads(numbers)}
    found = (leads.get(name) if VISIT.fullmatch(name) else index.entry(name) for name in names)
    return [entry for entry in found if entry is not None], index.shots(leads.values())


async def days(request: Request) -> Response:
    state = gallery(request)
    view, place = query_params.view(request.query_params), zone(request)
    whole = dataclasses.replace(view.filter(place), until=None)
    found = await state.local.run(pagination.days, state.index, whole, place)
    return JSONResponse({"zone": place.key, "days": found}, headers=PRIVATE)


async def sharpness(request: Request) -> Response:
    """Of how many of a day's faces the metadata are known."""
    state = gallery(request)
    view, place = query_params.view(request.query_params), zone(request)
    if view.day is None:
        raise Bad("The day is missing.")
    within = _of_day(view, view.day, place)
    known = await state.local.run(state.index.known, within)
    count = await state.local.run(state.index.count, within)
    return JSONResponse({"known": known, "count": count}, headers=PRIVATE)


def _of_day(view: View, day: datetime.date, place: datetime.tzinfo) -> Filter:
    since, until = query_params.bounds(day, place)
    return dataclasses.replace(view.filter(place), since=since, until=until)


def _have_read(state: State, view: View, chunk: pagination.Chunk, place: datetime.tzinfo) -> None:
    """Where what is not known yet was asked for, have it read: the sharpness by which days are
    sorted, and the visits. A view that nobody chose shows visits as far as they are known."""
    for day in chunk.days:
        if day.unknown and (view.order == "sharpest" or view.shots == "visit"):
            state.facts.fill(_of_day(view, day.day, place))


async def devices(request: Request) -> Response:
    state = gallery(request)
    found = await state.local.run(state.index.devices)
    return JSONResponse([[device.name, device.faces] for device in found], headers=PRIVATE)


def routes() -> list[Route]:
    return [
        Route("/", grid),
        Route("/more", more),
        Route("/advice", advice),
        Route("/tiles", tiles),
        Route("/days", days),
        Route("/sharpness", sharpness),
        Route("/devices", devices),
    ]
