"""The faces: the grid and its parts, and how many there are by day and hour."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gallery.entries import Entry
from gallery.filters import Filter
from gallery.index import Index
from gallery.pages import asked, chunks
from gallery.pages.asked import Bad, View
from gallery.pages.shown import PRIVATE, gallery, page, zone
from gallery.state import State

TILES = 60  # asked for by name at a time
FACTS_WITHIN = 4.0  # seconds in which the store may say what it knows of a face


async def grid(request: Request) -> Response:
    state = gallery(request)
    view, place = asked.view(request.query_params), zone(request)
    after = asked.cursor(request.query_params.get("after"))
    context = await state.local.run(_grid, state.index, view, place, after)
    _have_read(state, view, context["chunk"], place)
    settings = state.settings
    context |= _links(view, context.pop("chunk"))
    return page(
        request,
        "faces.html",
        orders=asked.ORDERS,
        kinds=asked.KINDS,
        live=view.order == "newest" and view.day is None and after is None,
        paged=after is not None or view.day is not None,
        bucket=settings.bucket,
        endpoint=settings.endpoint,
        key_template=settings.key_template,
        **context,
    )


def _grid(index: Index, view: View, place: datetime.tzinfo, after: str | None) -> dict[str, Any]:
    """In a worker: all that the index has to say for a page."""
    whole = dataclasses.replace(view.filter(place), until=None)
    devices = index.devices()
    chosen = [device for device in devices if view.device in ("", device.name)]
    return {
        "chunk": chunks.chunk(index, view, place, after),
        "total": index.count(whole),
        "devices": devices,
        "cameras": sorted({camera for device in chosen for camera in device.cameras}),
    }


def _links(view: View, chunk: chunks.Chunk) -> dict[str, Any]:
    """What days.html shows of a chunk."""
    return {
        "view": view,
        "days": chunk.days,
        "next": chunk.next,
        "older": view.query(after=chunk.next),
        "query": view.query(day=None, hour=None),
    }


async def more(request: Request) -> Response:
    state = gallery(request)
    view, place = asked.view(request.query_params), zone(request)
    after = asked.cursor(request.query_params.get("after"))
    most = asked.count(request.query_params.get("chunks"), chunks.MOST) * chunks.FACES
    chunk = await state.local.run(chunks.chunk, state.index, view, place, after, most)
    _have_read(state, view, chunk, place)
    return page(request, "days.html", **_links(view, chunk))


async def tiles(request: Request) -> Response:
    """Some tiles by name, in the order in which they are asked for; without those that are gone."""
    state = gallery(request)
    refs = request.query_params.get("refs", "").split(",")
    if len(refs) > TILES:
        raise Bad(f"At most {TILES} tiles can be asked for at once.")
    view = asked.view(request.query_params)
    named = [asked.ref(ref) for ref in refs]
    entries = await state.local.run(_entries, state.index, named)
    return page(request, "tiles.html", entries=entries, query=view.query(day=None, hour=None))


def _entries(index: Index, refs: list[str]) -> list[Entry]:
    return [entry for entry in map(index.entry, refs) if entry is not None]


async def days(request: Request) -> Response:
    state = gallery(request)
    view, place = asked.view(request.query_params), zone(request)
    whole = dataclasses.replace(view.filter(place), until=None)
    found = await state.local.run(chunks.days, state.index, whole, place)
    return JSONResponse({"zone": place.key, "days": found}, headers=PRIVATE)


async def sharpness(request: Request) -> Response:
    """Of how many of a day's faces the sharpness is known."""
    state = gallery(request)
    view, place = asked.view(request.query_params), zone(request)
    if view.day is None:
        raise Bad("Of which day?")
    within = _of_day(view, view.day, place)
    known = await state.local.run(state.index.known, within)
    count = await state.local.run(state.index.count, within)
    return JSONResponse({"known": known, "count": count}, headers=PRIVATE)


def _of_day(view: View, day: datetime.date, place: datetime.tzinfo) -> Filter:
    since, until = asked.bounds(day, place)
    return dataclasses.replace(view.filter(place), since=since, until=until)


def _have_read(state: State, view: View, chunk: chunks.Chunk, place: datetime.tzinfo) -> None:
    """Where days are sorted by what is not known yet, have it read."""
    for day in chunk.days:
        if day.unknown:
            state.facts.fill(_of_day(view, day.day, place))


async def devices(request: Request) -> Response:
    state = gallery(request)
    found = await state.local.run(state.index.devices)
    return JSONResponse([[device.name, device.faces] for device in found], headers=PRIVATE)


def routes() -> list[Route]:
    return [
        Route("/", grid),
        Route("/more", more),
        Route("/tiles", tiles),
        Route("/days", days),
        Route("/sharpness", sharpness),
        Route("/devices", devices),
    ]
