"""A page's worth of faces, by the reader's days, with the place where the next one begins."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.index.query import BadCursor, Filter
from gallery.web.query_params import FIRST_YEAR, LAST_YEAR, Bad, View, bounds
from gallery.web.rendering import local

FACES = 60  # in a chunk: whole rows with 2, 3, 4, 5, 6, 10 or 12 columns
MOST = 5  # chunks at a time, for readers who scroll fast
_NOWHERE = "This position in the list is not valid."


@dataclasses.dataclass(frozen=True)
class Day:
    """Some of a day's faces. `since`, `until`: the day, unix milliseconds; `count`, `visits`: of
    all of it; `unknown`: of how many of them the metadata are not known, where it matters: the
    sharpness, if they are sorted by it, and the visit, if each has one tile.
    """

    day: datetime.date
    since: int
    until: int
    count: int
    visits: int
    entries: list[Entry]
    unknown: int = 0


@dataclasses.dataclass(frozen=True)
class Chunk:
    """`shots`: of each visit, by its number, where each entry stands for all of them."""

    days: list[Day]
    next: str | None
    shots: dict[int, int] = dataclasses.field(default_factory=dict)
    stacked: bool = False


def chunk(
    index: Index, view: View, place: datetime.tzinfo, after: str | None, most: int = FACES
) -> Chunk:
    """What of a view follows the cursor `after`, `most` tiles; from its beginning with None.

    One tile for each visit, unless all shots are asked for, or no day has more than a screenful.

    Raises:
        Bad: the cursor is not valid.
    """
    criteria = view.filter(place)
    find = _sharpest if view.order == "sharpest" else _newest
    try:
        found = find(index, criteria, place, after, most)
        if view.can_stack and not view.shots and any(day.count > FACES for day in found.days):
            criteria = dataclasses.replace(criteria, leads=True)
            found = find(index, criteria, place, after, most)
    except BadCursor:
        raise Bad(_NOWHERE) from None
    if not criteria.leads:
        return found
    shots = index.shots(entry for day in found.days for entry in day.entries)
    return dataclasses.replace(found, shots=shots, stacked=True)


def _newest(
    index: Index, criteria: Filter, place: datetime.tzinfo, after: str | None, most: int
) -> Chunk:
    page = index.page(criteria, "newest", after, most)
    days = [
        _day(index, criteria, day, place, list(entries))
        for day, entries in itertools.groupby(page.entries, lambda entry: _date(entry, place))
    ]
    return Chunk(days, page.next)


def _sharpest(
    index: Index, criteria: Filter, place: datetime.tzinfo, after: str | None, most: int
) -> Chunk:
    """Days are newest first here, too; within each, the sharpest come first."""
    found: list[Day] = []
    room = most
    day, inner = _split(after) if after else (_newest_day(index, criteria, place), None)
    while day is not None and room:
        since, until = bounds(day, place)
        within = _within(criteria, since, until)
        page = index.page(within, "sharpest", inner, room)
        if page.entries:
            found.append(_day(index, criteria, day, place, page.entries, sorted_by_facts=True))
        room -= len(page.entries)
        if page.next is not None:
            return Chunk(found, f"{day}~{page.next}")
        inner = None
        day = _newest_day(index, _within(criteria, None, since), place)
    return Chunk(found, f"{day}~" if day else None)


def _split(after: str) -> tuple[datetime.date, str | None]:
    text, _, inner = after.partition("~")
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise Bad(_NOWHERE) from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Bad(_NOWHERE)
    return day, inner or None


def _within(criteria: Filter, since: int | None, until: int, whole: bool = False) -> Filter:
    """A filter between two times, and before its own end unless the `whole` of that is meant."""
    end = until if criteria.until is None or whole else min(until, criteria.until)
    return dataclasses.replace(criteria, since=since, until=end)


def _newest_day(index: Index, criteria: Filter, place: datetime.tzinfo) -> datetime.date | None:
    newest = index.page(criteria, "newest", None, 1).entries
    return _date(newest[0], place) if newest else None


def _day(
    index: Index,
    criteria: Filter,
    day: datetime.date,
    place: datetime.tzinfo,
    entries: list[Entry],
    sorted_by_facts: bool = False,
) -> Day:
    since, until = bounds(day, place)
    totals = index.totals(_within(criteria, since, until, whole=True))
    unknown = totals.unknown if sorted_by_facts or criteria.leads else 0
    return Day(day, since, until, totals.faces, totals.visits, entries, unknown)


def _date(entry: Entry, place: datetime.tzinfo) -> datetime.date:
    return local(entry.captured, place).date()


def days(
    index: Index, criteria: Filter, place: datetime.tzinfo
) -> list[tuple[str, list[tuple[int, int, int]]]]:
    """Of each day that has faces, oldest first: the date, and its hours with their faces and
    visits."""
    found: dict[datetime.date, dict[int, tuple[int, int]]] = {}
    for began, faces, visits in index.histogram(criteria):
        there = local(began, place)
        hours = found.setdefault(there.date(), {})
        before = hours.get(there.hour, (0, 0))
        hours[there.hour] = before[0] + faces, before[1] + visits
    return [
        (str(day), [(hour, *counts) for hour, counts in sorted(hours.items())])
        for day, hours in found.items()
    ]
