"""Templates, and how times, sizes and numbers are written for the one who reads."""

from __future__ import annotations

import datetime
import functools
import hashlib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gallery.auth.proxy import base_of
from gallery.state import State
from gallery.store_health import StoreHealth

FOLDER = Path(__file__).parents[1]
STATIC = FOLDER / "static"
NAV = (("/", "Faces"), ("/fleet", "Fleet"), ("/deletions", "Deletions"))
PRIVATE = {"Cache-Control": "private, no-store"}
FORMS = {
    "day": "%a %-d %B %Y",
    "time": "%H:%M:%S",
    "short": "%-d %b, %H:%M",
    "full": "%a %-d %B %Y, %H:%M:%S %Z",
}


def zone(request: Request) -> zoneinfo.ZoneInfo:
    """The reader's time zone, which the page's script keeps in a cookie; else UTC."""
    return _zone(request.cookies.get("tz", ""))


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name.replace("%2F", "/")[:64])
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):  # no zone, or not even a name
        return zoneinfo.ZoneInfo("UTC")


def local(ms: int, place: datetime.tzinfo) -> datetime.datetime:
    """Milliseconds since 1970 as a moment in `place`; what no calendar has is its nearest end."""
    least, most = -62_135_510_400_000, 253_402_128_000_000  # a day inside of datetime's range
    moment = datetime.datetime.fromtimestamp(0, datetime.UTC)
    moment += datetime.timedelta(milliseconds=max(least, min(ms, most)))
    return moment.astimezone(place)


def number(value: float) -> str:
    return f"{value:,}"


def size(octets: int) -> str:
    """Bytes, as people read them."""
    if octets < 1000:
        return f"{octets} B"
    if octets < 1_000_000:
        return f"{octets / 1000:.0f} kB"
    return f"{octets / 1_000_000:.1f} MB"


def format_count(count: int, one: str, more: str = "") -> str:
    """`1 face`, `1,234 faces`."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def format_counts(faces: int, visits: int) -> str:
    """`12 faces`, `12 faces, 3 visits`: visits are told where they are fewer."""
    told = format_count(faces, "face")
    return f"{told}, {format_count(visits, 'visit')}" if visits < faces else told


@jinja2.pass_context
def moment(context: jinja2.runtime.Context, ms: int, form: str = "full") -> Markup:
    """A <time> in the reader's zone; the page's script writes it in the reader's language."""
    there = local(ms, context["place"])
    exact = local(ms, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shown = there.strftime(FORMS[form])
    return Markup('<time datetime="{}" data-as="{}">{}</time>').format(exact, form, shown)


def date(day: datetime.date) -> Markup:
    """A <time> for a day, likewise."""
    shown = day.strftime(FORMS["day"])
    return Markup('<time datetime="{}" data-as="date">{}</time>').format(day, shown)


@functools.lru_cache(maxsize=1)
def version() -> str:
    """A name for the static files as they are, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@jinja2.pass_context
def static(context: jinja2.runtime.Context, name: str) -> str:
    return f"{context['base']}/static/v-{version()}/{name}"


@functools.lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, size=size, many=format_count, moment=moment, date=date)
    made.globals.update(static=static, format_counts=format_counts)
    return made


def gallery(request: Request) -> State:
    """All that the pages are made of."""
    state: State = request.app.state.gallery
    return state


def _standing(request: Request) -> dict[str, Any]:
    """What every page says of the bucket: how it is, and how long it keeps faces."""
    state = gallery(request)
    progress, kept = state.sync.progress, state.retention.kept
    notices = []
    if state.standing.index_text:
        notices.append(
            {"about": "index", "text": f"Some faces are missing here: {state.standing.index_text}."}
        )
    elif state.index.is_full:
        most = state.settings.index_max_faces
        text = (
            f"Only the newest {most:,} faces are shown (INDEX_MAX_FACES);"
            " older ones are in the bucket, but deletions here do not reach them."
        )
        notices.append({"about": "index", "text": text})
    if state.standing.reason is not None:
        notices.append({"about": "store", "text": trouble(state.standing)})
    if progress.listing and not progress.complete:
        found = f"building the index: {progress.found:,} faces so far"
        notices.append({"about": "sync", "text": found})
    return {"notices": notices, "kept": kept}


def trouble(standing: StoreHealth) -> str:
    """The bucket's trouble, in a sentence."""
    known = "The faces that the gallery knows are still shown."
    return f"The bucket cannot be reached ({standing.reason}): {standing.text}. {known}"


def render(request: Request, template: str, context: Mapping[str, Any]) -> str:
    """A template's text, with what all pages have: user, zone, notices."""
    state = request.scope.get("state", {})
    user = state.get("user")
    place = zone(request)
    common = {
        **(_standing(request) if user else {"notices": []}),
        "user": user,
        "place": place,
        "zone": place.key,
        "base": base_of(request.scope),
        "here": request.url.path,
        "nav": NAV,
    }
    return environment().get_template(template).render(common | dict(context))


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page, or a part of one, which nobody keeps."""
    return HTMLResponse(render(request, template, context), status, PRIVATE)
