"""A selection as browsers send it: some refs, or a filter; by a form or by JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from gallery.deletion.jobs import Selection
from gallery.index.index import Index
from gallery.index.model import Entry, name_visit
from gallery.index.query import FACE, Filter
from gallery.web import query_params
from gallery.web.query_params import Bad
from gallery.web.rendering import format_count

REFS = 10_000  # that are named one by one; more than that are selected by a filter
NAMED = 3  # devices or cameras that a sentence names
LATEST = 1 << 53  # of a time in milliseconds that a script may send
_TIMES = ("since", "until", "added")


@dataclasses.dataclass(frozen=True)
class SelectionRequest:
    """A selection, and the form's or JSON's other fields."""

    selection: Selection
    fields: Mapping[str, Any]

    def number(self, name: str) -> int | None:
        """A field that is a number, if it is there."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            raise Bad("This must be a number.") from None


async def parse_selection(request: Request) -> SelectionRequest:
    """Raises Bad: it is no selection, or none of anything."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            data = await request.json()
        except (ValueError, RecursionError):
            raise Bad("The request is not valid JSON.") from None
        if not isinstance(data, dict):
            raise Bad("A selection must be an object with refs or a filter.")
        return SelectionRequest(selection(data.get("selection", data)), data)
    form = await request.form(max_fields=REFS + 10)
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if text := fields.get("selection"):
        try:
            return SelectionRequest(selection(json.loads(text)), fields)
        except (ValueError, RecursionError):
            raise Bad("The request is not valid JSON.") from None
    chosen = {"refs": form.getlist("ref"), "visits": fields.get("visits") == "yes"}
    return SelectionRequest(selection(chosen), fields)


def selection(data: Any) -> Selection:
    """Raises Bad."""
    if not isinstance(data, dict):
        raise Bad("A selection must be an object with refs or a filter.")
    refs, wanted = data.get("refs"), data.get("filter")
    if isinstance(wanted, dict) and refs is None:
        return Selection(filter=_filter(wanted))
    if not isinstance(refs, list) or wanted is not None:
        raise Bad("A selection has either refs or a filter.")
    if not refs:
        raise Bad("No faces are selected.")
    if len(refs) > REFS:
        raise Bad(f"At most {REFS:,} faces can be selected one by one.")
    named = tuple(query_params.ref(ref if isinstance(ref, str) else "") for ref in refs)
    return Selection(named, visits=data.get("visits") is True)


def _filter(data: dict[str, Any]) -> Filter:
    names = [data.get(name) or None for name in ("device", "camera")]
    if not all(
        name is None or (isinstance(name, str) and query_params.is_name(name)) for name in names
    ):
        raise Bad("This is not a name of a device or camera.")
    times = [data.get(name) for name in _TIMES]
    if any(time is not None and (type(time) is not int or abs(time) > LATEST) for time in times):
        raise Bad("Times must be whole milliseconds since 1970.")
    kind = data.get("kind", FACE)
    if kind not in query_params.KINDS:
        raise Bad("The kind must be face or rejected.")
    visit = data.get("visit") or None
    if visit is not None and not isinstance(visit, str):
        raise Bad("This is not a name of a visit.")
    number = None if visit is None else query_params.visit(visit)
    device, camera = names
    since, until, added = times
    return Filter(kind, device, camera, since, until, added, visit=number)


def as_json(chosen: Selection) -> str:
    """The way back, for a form that asks once more."""
    if chosen.filter is None:
        return json.dumps({"refs": chosen.refs, "visits": chosen.visits})
    visit = chosen.filter.visit
    facts = {"visit": None if visit is None else name_visit(visit)}
    return json.dumps({"filter": dataclasses.asdict(chosen.filter) | facts})


def redirect_target(index: Index, chosen: Selection) -> str:
    """Of whom a selection is, in words. In a worker."""
    query_params = chosen.filter
    if query_params is not None:
        return f"{query_params.device or 'all devices'} ({query_params.camera or 'all cameras'})"
    entries = [entry for entry in map(index.entry, chosen.refs) if entry is not None]
    return f"{_some(entries, 'device')} ({_some(entries, 'camera')})"


def _some(entries: list[Entry], what: str) -> str:
    names = sorted({str(getattr(entry, what)) for entry in entries})
    if not names:
        return format_count(0, what)
    return ", ".join(names) if len(names) <= NAMED else format_count(len(names), what)


def span(index: Index, chosen: Selection) -> tuple[int, int] | None:
    """When its oldest and newest were captured (unix ms); None when that is not to be said."""
    wanted = chosen.filter
    if wanted is not None:
        if wanted.since is None or wanted.until is None:
            return None
        return wanted.since, wanted.until - 1
    times = [entry.captured for entry in map(index.entry, chosen.refs) if entry is not None]
    return (min(times), max(times)) if times else None
