"""One face: its page, and its facts."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from common.store.base import StoreError
from gallery.auth.proxy import base_of
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.index.query import FACE
from gallery.state import State
from gallery.web import query_params
from gallery.web.query_params import View
from gallery.web.rendering import PRIVATE, gallery, local, page, size, zone

FACTS_WITHIN = 4.0  # seconds in which the store may say what it knows of a face


async def entry_of(request: Request) -> Entry:
    """The entry that the address names.

    Raises:
        HTTPException: 400 for what is no name; 404 when there is no such face.
    """
    state = gallery(request)
    ref = query_params.ref(request.path_params["ref"])
    entry: Entry | None = await state.local.run(state.index.entry, ref)
    if entry is None:
        raise HTTPException(404, "This face does not exist, or has been deleted.")
    return entry


async def face(request: Request) -> Response:
    """One face, as a page; or, for the viewer, its part alone (?part)."""
    state = gallery(request)
    entry = await entry_of(request)
    view, place = query_params.view(request.query_params), zone(request)
    day = local(entry.captured, place).date()
    (newer, older), (stored, trouble) = await asyncio.gather(
        state.local.run(_neighbours, state.index, entry, view, place),
        _stored_facts(state, entry),
    )
    if not entry.known:
        entry = await entry_of(request)
    shots = await state.local.run(state.index.shots, [entry])
    return page(
        request,
        "facts.html" if "part" in request.query_params else "face.html",
        entry=entry,
        what="Face" if entry.kind == FACE else "Rejected object",
        query=view.query(day=None, hour=None),
        back=f"{base_of(request.scope)}/" + view.query(day=day, hour=None),
        shots=sum(shots.values()),
        newer=newer,
        older=older,
        facts=_facts(entry, stored),
        more=sorted(stored.items()),
        trouble=trouble,
        no_picture="This object cannot be shown: it is not a PNG, or cannot be read right now.",
    )


def _neighbours(
    index: Index, entry: Entry, view: View, place: datetime.tzinfo
) -> tuple[str | None, str | None]:
    within = dataclasses.replace(view.filter(place), kind=entry.kind, until=None)
    if view.order == "sharpest":  # which is an order within a day
        since, until = query_params.bounds(local(entry.captured, place).date(), place)
        within = dataclasses.replace(within, since=since, until=until)
    return index.neighbours(entry, within, view.order)


async def _stored_facts(state: State, entry: Entry) -> tuple[dict[str, str], str]:
    """An object's metadata, and what is wrong when there are none to be had."""
    try:
        async with asyncio.timeout(FACTS_WITHIN):
            facts: dict[str, str] = await state.store.run(state.bucket.head, entry.key)
    except TimeoutError:
        return {}, "The bucket is not responding. These details are from the gallery's index."
    except StoreError as error:
        state.standing.failed(error)
        if error.reason == "missing":
            return {}, "This face is no longer in the bucket."
        why = f"The bucket cannot be read ({error.reason})."
        return {}, f"{why} These details are from the gallery's index."
    state.standing.worked()
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
        ("Rejected", entry.reason, "text"),
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
    facts = {**dataclasses.asdict(entry), "visit": entry.visit_name or None}
    facts |= {"metadata": stored, "trouble": trouble}
    return JSONResponse(facts, headers=PRIVATE)


def routes() -> list[Route]:
    return [Route("/face/{ref}.json", face_json), Route("/face/{ref}", face)]
