"""Finding and counting faces at a cost that follows what is shown, whatever there is.

A list comes from the ends of a few ordered streams, each of them one index from one place on: those
of the sources that match, merged by time, or of the hours of a day, merged by sharpness.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import itertools
import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from gallery.index.query import FACE, Filter, Order, Place

HOUR, QUARTER = 3_600_000, 900_000  # milliseconds
SORTED = 5000  # faces that are sorted by sharpness at a time, where that index has many others
SHARPNESS = "coalesce(sharpness, -1)"
_ORDERS: dict[str, tuple[str, ...]] = {
    "newest": ("captured", "number"),
    "sharpest": (SHARPNESS, "captured", "number"),
}


class Counted(NamedTuple):
    """`unknown`: for how many the metadata has not been read; `visits`: as far as they are known,
    what has none counted as one."""

    faces: int
    unknown: int
    visits: int

    def __sub__(self, other: Counted) -> Counted:
        return Counted(*(mine - its for mine, its in zip(self, other, strict=True)))


_SUMS = ", ".join(f"coalesce(sum({column}), 0)" for column in Counted._fields)


class _Stretch(NamedTuple):
    """A part of the table that an index has in order: the condition, and its values."""

    order: str  # the index
    condition: str
    values: list[Any]


def places(
    db: sqlite3.Connection,
    criteria: Filter,
    order: Order,
    limit: int,
    after: Place | None = None,
    up: bool = False,
) -> list[Place]:
    """Where the first entries stand, or those that follow a place; `up`: from the end on."""
    parts = _by_time(db, criteria) if order == "newest" else _by_sharpness(db, criteria)
    return _merge(db, parts, criteria, order, limit, after, up)


def unknown(db: sqlite3.Connection, criteria: Filter, limit: int) -> list[Place]:
    """Where the newest stand whose metadata nobody has read."""
    query, names = _sources(criteria)
    numbers = db.execute(f"{query} AND unknown > 0", names).fetchall()
    parts = [_Stretch("by_unknown", "source = ? AND NOT known", list(one)) for one in numbers]
    return _merge(db, parts, criteria, "newest", limit)


def oldest(db: sqlite3.Connection, device: str, limit: int) -> list[Place]:
    """Where the oldest of a device stand, rejected objects included."""
    numbers = db.execute("SELECT number FROM sources WHERE device = ?", [device]).fetchall()
    parts = [_Stretch("by_source", "source = ?", list(one)) for one in numbers]
    return _merge(db, parts, Filter(), "newest", limit, up=True)


def count(db: sqlite3.Connection, criteria: Filter) -> Counted:
    """By whole quarters of an hour, and of what is beside them by looking."""
    if criteria.stored is not None or criteria.visit is not None:
        return _look(db, criteria)
    if criteria.since is None and criteria.until is None:
        query, names = _sources(criteria, _SUMS)
        total = Counted(*db.execute(query, names).fetchone())
    else:
        total = _count_between(db, dataclasses.replace(criteria, added=None))
    return total if criteria.added is None else _without_later(db, criteria, total)


def histogram(db: sqlite3.Connection, criteria: Filter) -> list[tuple[int, int, int]]:
    """How many in each quarter of an hour: its beginning (unix ms), its faces, its visits."""
    where, values = _counts_of(criteria)
    sums = "sum(faces), sum(visits)"
    query = f"SELECT quarter, {sums} FROM counts WHERE {where} GROUP BY 1 ORDER BY 1"
    return [(quarter * QUARTER, *counts) for quarter, *counts in db.execute(query, values)]


def hours(db: sqlite3.Connection, criteria: Filter) -> list[int]:
    """Of which hours (since 1970) there are faces."""
    where, values = _counts_of(criteria)
    found = db.execute(f"SELECT DISTINCT quarter / 4 FROM counts WHERE {where}", values)
    return [hour for (hour,) in found]


def _by_time(db: sqlite3.Connection, criteria: Filter) -> list[_Stretch]:
    if criteria.visit is not None:
        return [_Stretch("by_visit", *_of_sources(criteria))]
    leads = "leads_" if criteria.leads else ""
    if _is_all(criteria):
        return [_Stretch(f"{leads}by_time", "source > 0", [])]
    numbers = db.execute(*_sources(criteria)).fetchall()
    return [_Stretch(f"{leads}by_source", "source = ?", list(one)) for one in numbers]


def _by_sharpness(db: sqlite3.Connection, criteria: Filter) -> list[_Stretch]:
    """Hour by hour, of all sources; or source by source, where these have few faces."""
    within = dataclasses.replace(criteria, added=None, stored=None)
    if criteria.kind != FACE or criteria.visit is not None:
        return _by_time(db, criteria)
    if not _is_all(criteria) and count(db, within).faces <= SORTED:
        return _by_time(db, criteria)
    condition, names = _of_sources(criteria)
    condition = f"source > 0 AND captured / {HOUR} = ? AND {condition}"
    order = "leads_by_sharpness" if criteria.leads else "by_sharpness"
    return [_Stretch(order, condition, [hour, *names]) for hour in hours(db, criteria)]


def _merge(
    db: sqlite3.Connection,
    parts: Iterable[_Stretch],
    criteria: Filter,
    order: Order,
    limit: int,
    after: Place | None = None,
    up: bool = False,
) -> list[Place]:
    """The first places of all parts together: of each no more is read than is taken."""
    if after is not None and order == "newest":
        criteria = _narrow(criteria, int(after[0]), up)
    columns = ", ".join(_ORDERS[order])
    by = ", ".join(f"{column} {'ASC' if up else 'DESC'}" for column in _ORDERS[order])
    within, bounds = _within(criteria)
    with contextlib.ExitStack() as stack:
        streams = []
        for part in parts:
            for beyond, values in _beyond(order, after, up):
                where = f"{part.condition} AND {within} AND {beyond}"
                query = f"SELECT {columns} FROM faces INDEXED BY {part.order} WHERE {where}"
                given = [*part.values, *bounds, *values, limit]
                cursor = db.execute(f"{query} ORDER BY {by} LIMIT ?", given)
                streams.append(stack.enter_context(contextlib.closing(cursor)))
        return list(itertools.islice(heapq.merge(*streams, reverse=not up), limit))


def _beyond(order: Order, after: Place | None, up: bool) -> list[tuple[str, list[Any]]]:
    """Conditions that together are true of what follows a place, each such that an index leads to
    its beginning."""
    if after is None:
        return [("1", [])]
    sign = ">" if up else "<"
    if order == "newest":
        return [(f"(+captured, number) {sign} (?, ?)", list(after))]
    sharpness, captured, number = after
    same = f"{SHARPNESS} = ? AND captured {sign}= ? AND (+captured, number) {sign} (?, ?)"
    return [
        (f"{SHARPNESS} {sign} ?", [sharpness]),
        (same, [sharpness, captured, captured, number]),
    ]


def _narrow(criteria: Filter, captured: int, up: bool) -> Filter:
    """The filter from that time on, so that an index is read from there, whatever its bounds."""
    if up:
        since = captured if criteria.since is None else max(criteria.since, captured)
        return dataclasses.replace(criteria, since=since)
    until = captured + 1 if criteria.until is None else min(criteria.until, captured + 1)
    return dataclasses.replace(criteria, until=until)


def _within(criteria: Filter) -> tuple[str, list[Any]]:
    """A condition on the table, beside what its source is, and the values."""
    terms = (
        ("captured >= ?", criteria.since),
        ("captured < ?", criteria.until),
        ("added <= ?", criteria.added),
        ("stored <= ?", criteria.stored),
        ("visit = ?", criteria.visit),
    )
    given = [(condition, value) for condition, value in terms if value is not None]
    first = "lead" if criteria.leads else "1"
    return " AND ".join([first, *(term for term, _ in given)]), [value for _, value in given]


def _is_all(criteria: Filter) -> bool:
    """Whether the criteria match all faces, whatever their source."""
    return criteria.kind == FACE and criteria.device is None and criteria.camera is None


def _of_sources(criteria: Filter) -> tuple[str, list[Any]]:
    """A condition on the table that the source matches, and its values."""
    if _is_all(criteria):
        return "source > 0", []
    query, names = _sources(criteria)
    return f"source IN ({query})", names


def _sources(criteria: Filter, what: str = "number") -> tuple[str, list[Any]]:
    """A query for the sources that match, and its values."""
    terms = ["number > 0" if criteria.kind == FACE else "number < 0"]
    names = {"device": criteria.device, "camera": criteria.camera}
    given = {column: name for column, name in names.items() if name is not None}
    where = " AND ".join([*terms, *(f"{column} = ?" for column in given)])
    return f"SELECT {what} FROM sources WHERE {where}", list(given.values())


def _counts_of(criteria: Filter) -> tuple[str, list[Any]]:
    """A condition on the counts, and its values: of each quarter that the filter touches."""
    query, values = ("SELECT 0", list[Any]()) if _is_all(criteria) else _sources(criteria)
    where = f"source IN ({query})"
    if criteria.since is not None:
        where, values = f"{where} AND quarter >= ?", [*values, criteria.since // QUARTER]
    if criteria.until is not None:
        where, values = f"{where} AND quarter < ?", [*values, -(-criteria.until // QUARTER)]
    return where, values


def _count_between(db: sqlite3.Connection, criteria: Filter) -> Counted:
    since, until = criteria.since, criteria.until
    first = None if since is None else -(-since // QUARTER) * QUARTER
    last = None if until is None else until // QUARTER * QUARTER
    if first is not None and last is not None and first > last:
        return _look(db, criteria)
    where, values = _counts_of(dataclasses.replace(criteria, since=first, until=last))
    query = f"SELECT {_SUMS} FROM counts"
    found = [Counted(*db.execute(f"{query} WHERE {where}", values).fetchone())]
    if first != since:
        found.append(_look(db, dataclasses.replace(criteria, until=first)))
    if last != until:
        found.append(_look(db, dataclasses.replace(criteria, since=last)))
    return Counted(*map(sum, zip(*found, strict=True)))


def _look(db: sqlite3.Connection, criteria: Filter) -> Counted:
    """Count row by row."""
    table = "faces" if criteria.visit is None else "faces INDEXED BY by_visit"
    return _count_rows(db, criteria, table, "1")


def _without_later(db: sqlite3.Connection, criteria: Filter, total: Counted) -> Counted:
    """Without what was added later: rows are numbered as they come."""
    query = "SELECT number FROM faces WHERE added <= ? ORDER BY number DESC LIMIT 1"
    last = db.execute(query, [criteria.added]).fetchone() or (0,)
    criteria = dataclasses.replace(criteria, added=None)
    return total - _count_rows(db, criteria, "faces NOT INDEXED", "number > ?", *last)


def _count_rows(
    db: sqlite3.Connection, criteria: Filter, table: str, rest: str, *more: int
) -> Counted:
    where, values = _within(dataclasses.replace(criteria, leads=False))
    source, names = _of_sources(criteria)
    given = [*names, *values, *more]
    sums = "coalesce(sum(NOT known), 0), coalesce(sum(lead), 0)"
    text = f"SELECT count(*), {sums} FROM {table}"
    return Counted(*db.execute(f"{text} WHERE {source} AND {where} AND {rest}", given).fetchone())
