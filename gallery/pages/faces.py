"""The faces: the grid and its parts, how many there are by day and hour, and one alone."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from common.cos.errors import StoreError
from gallery.entries import Entry
from gallery.filters import FACE, Filter
from gallery.index import Index
from gallery.pages import asked, chunks
from gallery.pages.asked import Bad, View
from gallery.pages.shown import PRIVATE, gallery, local, page, size, zone
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
    chunk = await state.local.run(chunks.chunk, state.index, view, place, after)
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


async def entry_of(request: Request) -> Entry:
    """The entry that the address names.

    Raises:
        HTTPException: 400 for what is no name; 404 when there is no such face.
    """
    state = gallery(request)
    ref = asked.ref(request.path_params["ref"])
    entry: Entry | None = await state.local.run(state.index.entry, ref)
    if entry is None:
        raise HTTPException(404, "This face is not in the bucket, or not any more.")
    return entry


async def face(request: Request) -> Response:
    """One face, as a page; or, for the viewer, its part alone (?part)."""
    state = gallery(request)
    entry = await entry_of(request)
    view, place = asked.view(request.query_params), zone(request)
    day = local(entry.captured, place).date()
    (newer, older), (stored, trouble) = await asyncio.gather(
        state.local.run(_neighbours, state.index, entry, view, place),
        _stored_facts(state, entry),
    )
    return page(
        request,
        "facts.html" if "part" in request.query_params else "face.html",
        entry=entry,
        what="Face" if entry.kind == FACE else "Rejected object",
        query=view.query(day=None, hour=None),
        back="/" + view.query(day=day, hour=None),
        newer=newer,
        older=older,
        facts=_facts(entry, stored),
        more=sorted(stored.items()),
        trouble=trouble,
        no_picture="This object is not a picture that can be shown. It can be downloaded.",
    )


def _neighbours(
    index: Index, entry: Entry, view: View, place: datetime.tzinfo
) -> tuple[str | None, str | None]:
    within = dataclasses.replace(view.filter(place), kind=entry.kind, until=None)
    if view.order == "sharpest":  # which is an order within a day
        since, until = asked.bounds(local(entry.captured, place).date(), place)
        within = dataclasses.replace(within, since=since, until=until)
    return index.neighbours(entry, within, view.order)


async def _stored_facts(state: State, entry: Entry) -> tuple[dict[str, str], str]:
    """An object's metadata, and what is wrong when there are none to be had."""
    try:
        async with asyncio.timeout(FACTS_WITHIN):
            facts: dict[str, str] = await state.store.run(state.bucket.head, entry.key)
    except TimeoutError:
        return {}, "The bucket does not answer; these facts are from the gallery's own index."
    except StoreError as error:
        if error.reason == "missing":
            return {}, "This face is not in the bucket any more."
        return {}, f"The bucket cannot be read ({error.reason}); these facts are from the index."
    if not entry.known:
        await state.local.run(state.index.learn, entry, facts)
    return facts, ""


def _facts(entry: Entry, stored: dict[str, str]) -> list[tuple[str, Any, str]]:
    """Name, value, and what that is: text, code or time."""
    box = stored.get("box", "").split(",")
    pixels = f", {box[2]} x {box[3]} pixels" if len(box) == 4 and "scale" not in stored else ""
    score = stored.get("score", _short(entry.score))
    engine = stored.get("engine", "")
    found: list[tuple[str, Any, str]] = [
        ("Device", entry.device, "text"),
        ("Camera", entry.camera, "text"),
        ("Captured", entry.captured, "time"),
        ("Stored", entry.stored, "time"),
        ("Size", size(entry.size) + pixels, "text"),
        ("Rejected because", entry.reason, "text"),
        ("Score", f"{score} ({engine})" if score and engine else score, "text"),
        ("Sharpness", stored.get("sharpness", _short(entry.sharpness)), "text"),
        ("Quality", stored.get("quality", _short(entry.quality)), "text"),
        ("Key", entry.key, "code"),
    ]
    return [one for one in found if one[1]]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


async def face_json(request: Request) -> Response:
    """The facts for programs."""
    state = gallery(request)
    entry = await entry_of(request)
    stored, trouble = await _stored_facts(state, entry)
    facts = {**dataclasses.asdict(entry), "metadata": stored, "trouble": trouble}
    return JSONResponse(facts, headers=PRIVATE)


def routes() -> list[Route]:
    return [
        Route("/", grid),
        Route("/more", more),
        Route("/tiles", tiles),
        Route("/days", days),
        Route("/sharpness", sharpness),
        Route("/devices", devices),
        Route("/face/{ref}.json", face_json),
        Route("/face/{ref}", face),
    ]
