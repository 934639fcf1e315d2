"""Care for the people in the pictures: what a selection comes to, deleting it, taking it along."""

from __future__ import annotations

import datetime
import weakref
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gallery.auth.proxy import base_of
from gallery.auth.roles import needs_admin
from gallery.deletion.deletions import Changed
from gallery.deletion.jobs import Job, Selection
from gallery.web import selection, zip_export
from gallery.web.images import Stream
from gallery.web.query_params import Bad
from gallery.web.rendering import PRIVATE, format_count, gallery, local, page, zone

MOST = 100_000  # faces of some visits, which are named one by one: as many as a job can list
TYPED = 100  # faces from which on the number has to be typed
LOG = 500  # deletions in the list
MAX_ZIPS = 4  # under way at a time
REASONS = {
    "denied": "the gallery's credentials do not allow it",
    "unreachable": "the bucket could not be reached",
    "timeout": "the bucket did not answer in time",
}
MAX_ZIPS_EACH = 2  # of one user
# A download that has ended, however it did, is nobody's any more, and so is not in here.
_zips: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


async def count(request: Request) -> Response:
    """What a selection comes to, and of whom and when it is: for the question before a deletion."""
    chosen = (await selection.parse_selection(request)).selection
    return JSONResponse(await _count(request, chosen), headers=PRIVATE)


async def _count(request: Request, chosen: Selection) -> dict[str, Any]:
    state = gallery(request)
    number, added, named = await state.deletions.count(chosen)
    _check_length(named, chosen)
    where = await state.local.run(selection.redirect_target, state.index, named)
    span = await state.local.run(selection.span, state.index, named)
    if chosen.visits:
        where = f"{where}, {format_count(len(chosen.refs), 'visit')}"
    found: dict[str, Any] = {"count": number, "added": added, "where": where}
    if span is not None:
        found["where"] += f", {_between(span, zone(request))}"
    if named.filter is not None and number:
        rejected = number - await state.local.run(state.index.count, named.filter)
        if rejected > 0:
            found["where"] += f", including {format_count(rejected, 'rejected object')}"
    return found


def _check_length(named: Selection, chosen: Selection) -> None:
    if len(named.refs) > max(MOST, len(chosen.refs)):
        raise Bad(f"These visits have more than {MOST:,} faces. Select a day instead.")


def _between(span: tuple[int, int], place: datetime.tzinfo) -> str:
    first, last = (f"{local(ms, place):%-d %B %Y}" for ms in span)
    return first if first == last else f"{first} to {last}"


@needs_admin
async def delete(request: Request) -> Response:
    """Begin to delete what was confirmed, or ask first (of a form without script)."""
    parsed = await selection.parse_selection(request)
    expected, added = parsed.number("expected"), parsed.number("added")
    is_form = not request.headers.get("content-type", "").startswith("application/json")
    if expected is None or added is None:
        if not is_form:
            raise Bad("The request must state how many faces to delete: call /count first.")
        found = await _count(request, parsed.selection)
        again = selection.as_json(parsed.selection)
        return page(request, "confirm.html", selection=again, typed=TYPED, **found)
    if is_form and expected > TYPED and parsed.number("typed") != expected:
        raise Bad(f"To delete {expected:,} faces, enter that number.")
    job = await _begin(request, parsed.selection, expected, added)
    if is_form:
        return RedirectResponse(f"{base_of(request.scope)}/jobs/{job.id}", 303)
    return JSONResponse(job.facts(), 202, PRIVATE)


async def _begin(request: Request, chosen: Selection, expected: int, added: int) -> Job:
    state = gallery(request)
    named = await state.deletions.named(chosen.until(added))
    _check_length(named, chosen)
    where = await state.local.run(selection.redirect_target, state.index, named)
    span = await state.local.run(selection.span, state.index, named)
    what = where if span is None else f"{where}, {_between(span, datetime.UTC)}"
    user = request.scope["state"]["user"].name
    try:
        return await state.deletions.start(named, user, what, expected)
    except Changed as error:
        now = format_count(error.count, "face")
        text = f"The selection now has {now}, not {expected:,}. Please check it again."
        raise HTTPException(409, text) from None


async def job(request: Request) -> Response:
    """How far a deletion is: JSON for scripts, a page for people."""
    found: Job | None = gallery(request).deletions.jobs.get(request.path_params["id"])
    if found is None:
        raise HTTPException(404, "This deletion is no longer running. See Deletions.")
    facts = {**found.facts(), "sentence": job_to_dict(found)}
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(facts, headers=PRIVATE)
    return page(request, "job.html", job=found, over=found.state != "running", **facts)


def job_to_dict(job: Job) -> str:
    """How far a deletion is, in a sentence."""
    if job.state == "running":
        return f"{job.done:,} of {format_count(job.total, 'face')} deleted so far."
    if not job.failed:
        return f"{format_count(job.done, 'face')} deleted."
    reasons = ", ".join(
        f"{format_count(number, 'face')} could not be deleted: {REASONS.get(reason, reason)}"
        for reason, number in job.failed.items()
    )
    return f"{job.done:,} of {format_count(job.total, 'face')} deleted; {reasons}."


async def deletions(request: Request) -> Response:
    state = gallery(request)
    past = await state.local.run(state.index.deletions, LOG)
    running = [one for one in state.deletions.jobs.values() if one.state != "done"]
    return page(
        request,
        "deletions.html",
        past=past,
        running=[(one, job_to_dict(one)) for one in running],
        log=LOG,
    )


async def archive(request: Request) -> Response:
    """A selection as a zip, made while it is sent."""
    chosen = (await selection.parse_selection(request)).selection
    state = gallery(request)
    number, _, named = await state.deletions.count(chosen)
    if not number:
        raise HTTPException(404, "These faces no longer exist.")
    user = request.scope["state"]["user"].name
    mine = sum(one == user for one in _zips.values())
    if len(_zips) >= MAX_ZIPS or mine >= MAX_ZIPS_EACH:
        raise HTTPException(503, "Too many downloads at once. Please try again later.")
    place = zone(request)
    now = datetime.datetime.now(place)
    name = f"faces_{now:%Y-%m-%d_%H-%M-%S}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **PRIVATE}
    stream = zip_export.stream(state, named, place)
    _zips[stream] = user
    return Stream(stream, 200, headers, "application/zip")


def routes() -> list[Route]:
    return [
        Route("/count", count, methods=["POST"]),
        Route("/delete", delete, methods=["POST"]),
        Route("/jobs/{id}", job),
        Route("/deletions", deletions),
        Route("/zip", archive, methods=["POST"]),
    ]
