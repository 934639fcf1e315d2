"""What the bucket holds, as far as it is known: on disk, bounded, and made anew at any time.

A listing has no metadata and goes upwards only, so pages are shown from here. The bucket stays the
truth: sync.py and arrivals.py keep this in step with it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gallery import metrics
from gallery.index import schema
from gallery.index.database import Database
from gallery.index.model import Entry, Record, with_metadata
from gallery.index.query import (
    FACE,
    Filter,
    Order,
    after_clause,
    cursor_of,
    decode_cursor,
    encode_cursor,
    order_clause,
)

TRIMMED_TO = 0.99  # of the bound, when it is met: not with every face that comes
_COLUMNS = ", ".join(field.name for field in dataclasses.fields(Entry))


@dataclasses.dataclass(frozen=True)
class Page:
    """Some entries in order; `next`: the cursor of what follows, None at the end."""

    entries: list[Entry]
    next: str | None


@dataclasses.dataclass(frozen=True)
class Device:
    name: str
    cameras: list[str]
    faces: int


@dataclasses.dataclass(frozen=True)
class Deletion:
    """Who deleted what: `at` in unix milliseconds; `what` in words; how many objects."""

    at: int
    by: str
    what: str
    count: int


class Index:
    """May be called from any thread; each has a connection of its own, and one writes at a time.

    Every method raises IndexTrouble where the disk, or the file on it, does not do its part.
    """

    def __init__(self, path: Path, max_faces: int) -> None:
        self._max = max_faces
        self._db = Database(path)
        self.is_full = False  # there are more faces in the bucket than it may know
        metrics.INDEXED.set_function(lambda: self._db.count)

    # Questions.

    def page(self, asked: Filter, order: Order, after: str | None, limit: int) -> Page:
        """Raises BadCursor."""
        where, values = asked.where()
        if after is not None:
            condition, at = after_clause(order, cursor_of(after, order))
            where, values = f"{where} AND {condition}", values + at
        found = self._entries(
            f"WHERE {where} ORDER BY {order_clause(order)} LIMIT ?", [*values, limit + 1]
        )
        shown = found[:limit]
        more = len(found) > limit
        return Page(shown, decode_cursor(order, _to_cursor(order, shown[-1])) if more else None)

    def entry(self, ref: str) -> Entry | None:
        return next(iter(self._entries("WHERE ref = ?", [ref])), None)

    def neighbours(
        self, entry: Entry, asked: Filter, order: Order
    ) -> tuple[str | None, str | None]:
        """The refs of what stands before and after an entry, among what was asked for."""
        found = []
        for up in (True, False):
            where, values = asked.where()
            condition, at = after_clause(order, _to_cursor(order, entry), up)
            query = f"WHERE {where} AND {condition} ORDER BY {order_clause(order, up)} LIMIT 1"
            one = self._entries(query, values + at)
            found.append(one[0].ref if one else None)
        return found[0], found[1]

    def count(self, asked: Filter) -> int:
        where, values = asked.where()
        return int(self._one(f"SELECT count(*) FROM faces WHERE {where}", values))

    def known(self, asked: Filter) -> int:
        """Of how many the metadata, and so the sharpness, are known."""
        where, values = asked.where()
        return int(self._one(f"SELECT count(*) FROM faces WHERE {where} AND known", values))

    def unknown(self, asked: Filter, limit: int) -> list[Entry]:
        """The newest of those whose metadata nobody has read."""
        where, values = asked.where()
        query = f"WHERE {where} AND NOT known ORDER BY {order_clause('newest')} LIMIT ?"
        return self._entries(query, [*values, limit])

    def devices(self) -> list[Device]:
        rows = self._db.rows(
            "SELECT device, camera, count(*) FROM faces WHERE kind = 'face' GROUP BY 1, 2"
        )
        cameras: dict[str, list[str]] = {}
        faces: dict[str, int] = {}
        for device, camera, count in rows:
            cameras.setdefault(device, []).append(camera)
            faces[device] = faces.get(device, 0) + count
        return [Device(name, cameras[name], faces[name]) for name in sorted(cameras)]

    def histogram(self, asked: Filter) -> list[tuple[int, int]]:
        """How many in each quarter of an hour that has any: its beginning (unix ms), the count.

        Hours and days of every time zone are made of these.
        """
        where, values = asked.where()
        query = "SELECT captured / 900000, count(*) FROM faces WHERE "
        rows = self._db.rows(f"{query}{where} GROUP BY 1 ORDER BY 1", values)
        return [(quarter * 900_000, count) for quarter, count in rows]

    def expired(self, before: int, after: Entry | None, limit: int) -> list[Entry]:
        """What was stored before a time (unix ms), the oldest first; those that follow `after`."""
        at = (after.stored, after.ref) if after else (-1, "")
        rest = "WHERE stored < ? AND (stored, ref) > (?, ?) ORDER BY stored, ref LIMIT ?"
        return self._entries(rest, [before, *at, limit])

    def copies(self, entries: list[Entry]) -> list[Entry]:
        """What else there is of these faces, such as what was rejected of one.

        What was rejected has no copies: its id is what its sender said, who may have meant harm.
        """
        ids = {entry.id for entry in entries if entry.id and entry.kind == FACE}
        refs = {entry.ref for entry in entries}
        found = self._entries(f"WHERE id IN ({', '.join('?' * len(ids))})", ids)
        return [entry for entry in found if entry.ref not in refs]

    # Changes.

    def add(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Take up entries; those that are new, and those that were deleted before, and are not
        taken up: they have to go again."""
        entries = list(entries)
        now = _now()
        with self._db.changing() as db:
            gone = self._gone(db, entries)
            new = [one for one in entries if one.id not in gone and _count_added(db, one, now)]
            self._db.count += len(new)
            self._trim(db)
        return new, [entry for entry in entries if entry.id in gone]

    def learn(self, entry: Entry, facts: dict[str, str]) -> Entry:
        """Keep what an object's metadata say."""
        better = with_metadata(entry, facts)
        with self._db.changing() as db:
            db.execute(schema.LEARN, dataclasses.asdict(better))
        return better

    def remove(self, refs: list[str]) -> None:
        with self._db.changing() as db:
            for ref in refs:
                self._db.count -= db.execute("DELETE FROM faces WHERE ref = ?", [ref]).rowcount

    def buried(self, after: Entry | None, limit: int) -> list[Entry]:
        """What should be gone and is still here; those that follow `after`."""
        rest = "WHERE id IN (SELECT id FROM gone) AND ref > ? ORDER BY ref LIMIT ?"
        return self._entries(rest, [after.ref if after else "", limit])

    def unrecorded(self, entries: list[Entry]) -> list[Entry]:
        """Those that no record has taken up."""
        with self._db.reading() as db:
            gone = self._gone(db, entries)
        return [entry for entry in entries if entry.id not in gone]

    def logs(self) -> set[str]:
        """Keys of the records of deletion that are taken up."""
        return {key for (key,) in self._db.rows("SELECT key FROM logs")}

    def bury(self, key: str, record: Record) -> None:
        """Take up a record: from now on its faces are gone, whoever sends them again."""
        row = [key, record.job, record.at, record.by, record.what, record.count]
        with self._db.changing() as db:
            ids = ((id, record.at) for id in record.ids if id)
            db.executemany("INSERT OR IGNORE INTO gone VALUES (?, ?)", ids)
            db.execute("INSERT OR IGNORE INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)

    def deletions(self, limit: int) -> list[Deletion]:
        """The newest first."""
        return [Deletion(*row) for row in self._db.rows(schema.DELETIONS, [limit])]

    def begin_pass(self) -> int:
        """A listing of everything begins; its time (unix ms)."""
        with self._db.changing() as db:
            db.execute("DELETE FROM seen")
        return _now()

    def seen(self, refs: Iterable[str]) -> None:
        with self._db.changing() as db:
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((ref,) for ref in refs))

    def end_pass(self, began: int) -> list[str]:
        """Forget what the listing did not have, and was known before it; the refs."""
        with self._db.changing() as db:
            rows = db.execute(schema.VANISHED, [began]).fetchall()
            db.execute("DELETE FROM seen")
            self._db.count -= len(rows)
        return [ref for (ref,) in rows]

    # How.

    def _gone(self, db: schema.Connection, entries: list[Entry]) -> set[str]:
        gone = set()
        for entry in entries:
            if db.execute("SELECT 1 FROM gone WHERE id = ?", [entry.id]).fetchone():
                gone.add(entry.id)
        return gone

    def _trim(self, db: schema.Connection) -> None:
        if self._db.count > self._max:
            self.is_full = True
            over = self._db.count - round(TRIMMED_TO * self._max)
            counts = dict(db.execute(schema.OF_DEVICES).fetchall())
            for device, rows in share_out(counts, over).items():
                self._db.count -= db.execute(schema.TRIM, [device, rows]).rowcount

    def _one(self, query: str, values: Iterable[Any] = ()) -> Any:
        return self._db.rows(query, values)[0][0]

    def _entries(self, rest: str, values: Iterable[Any]) -> list[Entry]:
        rows = self._db.rows(f"SELECT {_COLUMNS} FROM faces {rest}", values)
        return [_to_entry(row) for row in rows]


def share_out(counts: Mapping[str, int], over: int) -> dict[str, int]:
    """How many of `over` rows each device gives up: those with the most, down to one level.

    So no device pushes out the faces of others, whatever it sends and however it dates them.
    """
    largest = sorted(counts.items(), key=lambda item: -item[1])
    number, total = 0, 0  # of the devices that give up some, and their rows
    while number < len(largest) and total - number * largest[number][1] < over:
        total += largest[number][1]
        number += 1
    level, spare = divmod(max(total - over, 0), max(number, 1))
    return {
        device: count - level - (place < spare)
        for place, (device, count) in enumerate(largest[:number])
    }


def _to_cursor(order: Order, entry: Entry) -> tuple[Any, ...]:
    return encode_cursor(order, entry.captured, entry.ref, entry.sharpness)


def _to_entry(row: Any) -> Entry:
    """SQLite has no booleans."""
    *values, known = row
    arguments: list[Any] = [*values, bool(known)]
    return Entry(*arguments)


def _count_added(db: schema.Connection, entry: Entry, now: int) -> bool:
    known = db.execute("SELECT 1 FROM faces WHERE ref = ?", [entry.ref]).fetchone()
    db.execute(schema.ADD, {**dataclasses.asdict(entry), "now": now})
    return known is None


def _now() -> int:
    return time.time_ns() // 1_000_000
