"""Visits in the index: the shots of one track, of which the best one leads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from gallery.index import rows
from gallery.index.model import Entry


def count_shots(db: sqlite3.Connection, visits: Iterable[int]) -> dict[int, int]:
    query = "SELECT visit, count(*) FROM faces WHERE visit IN ({}) GROUP BY 1"
    return dict(_each(db, query, visits))


def leads(db: sqlite3.Connection, visits: Iterable[int]) -> list[Entry]:
    """The lead of each visit that has any shots."""
    query = f"{rows.SELECT} WHERE visit IN ({{}}) AND lead"
    return [rows.decode(row) for row in _each(db, query, visits)]


def of(db: sqlite3.Connection, refs: Iterable[str]) -> set[int]:
    """The visits of which these are shots."""
    query = "SELECT visit FROM faces WHERE ref IN ({}) AND visit IS NOT NULL"
    return {visit for (visit,) in _each(db, query, map(bytes.fromhex, refs))}


def whole(db: sqlite3.Connection, refs: Iterable[str], added: int | None) -> list[str]:
    """These, and all other shots of their visits that were added by then (unix ms)."""
    query = "SELECT ref, added FROM faces WHERE visit IN ({})"
    shots = _each(db, query, of(db, refs := list(refs)))
    others = (ref.hex() for ref, at in shots if added is None or at <= added)
    return list(dict.fromkeys([*refs, *others]))


def _each(db: sqlite3.Connection, query: str, values: Iterable[object]) -> Iterator[Any]:
    """Rows of a query for some values at a time."""
    given = list(values)
    for start in range(0, len(given), rows.AT_ONCE):
        lot = given[start : start + rows.AT_ONCE]
        yield from db.execute(query.format(", ".join("?" * len(lot))), lot)
