"""What the bucket holds, as far as is known: on disk, bounded, and rebuilt at any time.

A listing has no metadata and goes upwards only, so pages are shown from here. The bucket stays the
truth: `gallery/sync` keeps this in step with it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gallery import metrics
from gallery.index import rows, schema, search, visits
from gallery.index.database import Database
from gallery.index.model import Entry, Record, with_metadata
from gallery.index.query import FACE, Filter, Order, Place, decode_cursor, encode_cursor

TRIMMED = 0.01  # of the bound is made free when it is met, so as not to with every face that comes,
TRIMMED_AT_ONCE = 5000  # but no more rows than these, for others wait meanwhile
# What the metadata of an object say of it.
SAID = ("device", "camera", "captured", "sharpness", "quality", "score", "known", "visit")
CHUNK = 20_000  # rows that are compared with a listing at a time


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
    """Thread-safe: each thread has its own connection, and one writes at a time.

    Every method raises IndexTrouble where the disk, or the file on it, does not do its part.
    """

    def __init__(self, path: Path, max_faces: int) -> None:
        self._max = max_faces
        self._db = Database(path)
        self._passing = False  # a listing of everything is under way
        self.is_full = False  # there are more faces in the bucket than it may know
        metrics.INDEXED.set_function(lambda: self._db.count)

    # Questions.

    def page(self, criteria: Filter, order: Order, after: str | None, limit: int) -> Page:
        """Raises BadCursor."""
        begin = None if after is None else decode_cursor(after, order)
        with self._db.reading() as db:
            found = search.places(db, criteria, order, limit + 1, begin)
            entries = _entries(db, found[:limit])
        more = len(found) > limit
        return Page(entries, encode_cursor(order, found[limit - 1]) if more else None)

    def entry(self, ref: str) -> Entry | None:
        with self._db.reading() as db:
            found = _find(db, ref)
        return found and found[1]

    def neighbours(
        self, entry: Entry, criteria: Filter, order: Order
    ) -> tuple[str | None, str | None]:
        """The refs of the faces before and after an entry that match the criteria."""
        with self._db.reading() as db:
            found = _find(db, entry.ref)
            if found is None:
                return None, None
            number, entry = found
            at = _place(order, entry, number)
            before, after = (
                _entries(db, search.places(db, criteria, order, 1, at, up)) for up in (True, False)
            )
        return before[0].ref if before else None, after[0].ref if after else None

    def count(self, criteria: Filter) -> int:
        with self._db.reading() as db:
            return search.count(db, criteria).faces

    def totals(self, criteria: Filter) -> search.Counted:
        """Faces and visits, and of how many faces the metadata has not been read."""
        with self._db.reading() as db:
            return search.count(db, criteria)

    def known(self, criteria: Filter) -> int:
        """Of how many the metadata, and so the sharpness, are known."""
        with self._db.reading() as db:
            found = search.count(db, criteria)
        return found.faces - found.unknown

    def unknown(self, criteria: Filter, limit: int) -> list[Entry]:
        """The newest of those whose metadata nobody has read."""
        with self._db.reading() as db:
            return _entries(db, search.unknown(db, criteria, limit))

    def devices(self) -> list[Device]:
        found = self._db.rows(
            "SELECT device, camera, faces FROM sources WHERE number > 0 ORDER BY device, camera"
        )
        cameras: dict[str, list[str]] = {}
        faces: dict[str, int] = {}
        for device, camera, count in found:
            cameras.setdefault(device, []).append(camera)
            faces[device] = faces.get(device, 0) + count
        return [Device(name, cameras[name], faces[name]) for name in cameras]

    def histogram(self, criteria: Filter) -> list[tuple[int, int, int]]:
        """How many in each quarter of an hour that has any: its beginning (unix ms), its faces, its
        visits.

        Hours and days of every time zone are made of these.
        """
        with self._db.reading() as db:
            return search.histogram(db, criteria)

    def shots(self, entries: Iterable[Entry]) -> dict[int, int]:
        """How many shots there are of each of their visits."""
        with self._db.reading() as db:
            return visits.count_shots(db, {one.visit for one in entries if one.visit is not None})

    def leads(self, numbers: list[int]) -> list[Entry]:
        """The best shots of these visits, those that there are."""
        with self._db.reading() as db:
            return visits.leads(db, numbers)

    def whole_visits(self, refs: Iterable[str], added: int | None) -> list[str]:
        """Refs of all shots of the visits of these, without what was added since (unix ms)."""
        with self._db.reading() as db:
            return visits.whole(db, refs, added)

    def expired(self, before: int, limit: int) -> Iterator[list[Entry]]:
        """What was stored before a time (unix ms), the oldest first, in lots."""
        query = """
            SELECT stored, number FROM faces WHERE stored < ? AND stored >= ?
            AND (+stored, number) > (?, ?) ORDER BY stored, number LIMIT ?
        """
        at = (-1, 0)
        while found := self._db.rows(query, [before, at[0], *at, limit]):
            at = found[-1]
            with self._db.reading() as db:
                lot = _entries(db, found)
            yield lot

    def copies(self, entries: list[Entry]) -> list[Entry]:
        """What else there is of these faces, such as what was rejected of one.

        What was rejected has no copies: its id is what its sender said, who may have meant harm.
        """
        ids = {entry.id for entry in entries if entry.id and entry.kind == FACE}
        refs = {entry.ref for entry in entries}
        # As they are, too: of what the metadata named a device, the id is kept in full.
        either = [*ids, *(rows.encode_id(id)[0] for id in ids)]
        marks = ", ".join("?" * len(either))
        query = f"{rows.SELECT} WHERE id <> '' AND id IN ({marks})"
        found = map(rows.decode, self._db.rows(query, either))
        return [one for one in found if one.id in ids and one.ref not in refs]

    # Changes.

    def add(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Take up entries; those that are new, and those that were deleted before, and are not
        taken up: they have to go again."""
        entries = list(entries)
        new, again = [], []
        with self._db.changing() as db:
            now = _next_time(db)
            for start in range(0, len(entries), rows.AT_ONCE):
                lot = entries[start : start + rows.AT_ONCE]
                gone = _gone(db, lot)
                again += [entry for entry in lot if entry.id in gone]
                new += self._add(db, [entry for entry in lot if entry.id not in gone], now)
            self._trim(db)
        return new, again

    def _add(self, db: schema.Connection, lot: list[Entry], now: int) -> list[Entry]:
        """Those that are new."""
        refs = [bytes.fromhex(entry.ref) for entry in lot]
        marks = ", ".join("?" * len(refs))
        query = f"SELECT ref, number, stored, size FROM faces WHERE ref IN ({marks})"
        known = {ref.hex(): about for ref, *about in db.execute(query, refs)}
        new: dict[str, Entry] = {}
        for entry in lot:
            if entry.ref in new:
                new[entry.ref] = _merge(new[entry.ref], entry)
            elif entry.ref not in known:
                new[entry.ref] = entry
            elif entry.known or known[entry.ref][1:] != [entry.stored, entry.size]:
                [before] = _entries(db, [known[entry.ref][:1]])
                rows.update(db, before, _merge(before, entry))
        rows.insert(db, ((entry, now) for entry in new.values()))
        if self._passing:
            query = f"SELECT number FROM faces WHERE ref IN ({marks})"
            db.execute(f"INSERT OR IGNORE INTO seen {query}", refs)
        return list(new.values())

    def learn(self, entry: Entry, facts: dict[str, str]) -> Entry:
        """Keep what an object's metadata say."""
        better = with_metadata(entry, facts)
        with self._db.changing() as db:
            found = _find(db, entry.ref)
            if found is not None:
                changes = {name: getattr(better, name) for name in SAID}
                rows.update(db, found[1], dataclasses.replace(found[1], **changes))
        return better

    def remove(self, refs: list[str]) -> set[int]:
        """The visits of which these were shots."""
        with self._db.changing() as db:
            numbers = visits.of(db, refs)
            marks = ((bytes.fromhex(ref),) for ref in refs)
            db.executemany("DELETE FROM faces WHERE ref = ?", marks)
        return numbers

    def buried(self, limit: int) -> Iterator[list[Entry]]:
        """What should be gone and is still here, in lots."""
        numbers = self._db.rows(schema.BURIED)
        for start in range(0, len(numbers), limit):
            with self._db.reading() as db:
                lot = _entries(db, numbers[start : start + limit])
                ids = _gone(db, lot)
            if gone := [entry for entry in lot if entry.id in ids]:
                yield gone

    def unrecorded(self, entries: list[Entry]) -> list[Entry]:
        """Those that no record has taken up."""
        with self._db.reading() as db:
            gone = _gone(db, entries)
        return [entry for entry in entries if entry.id not in gone]

    def logs(self) -> set[str]:
        """Keys of the records of deletion that are taken up."""
        return {key for (key,) in self._db.rows("SELECT key FROM logs")}

    def bury(self, key: str, record: Record) -> None:
        """Take up a record: from now on its faces are gone, whoever sends them again."""
        row = [key, record.job, record.at, record.by, record.what, record.count]
        with self._db.changing() as db:
            ids = ((*rows.encode_id(id), record.at) for id in record.ids if id)
            db.executemany("INSERT OR IGNORE INTO gone VALUES (?, ?, ?)", ids)
            db.execute("INSERT OR IGNORE INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)

    def deletions(self, limit: int) -> list[Deletion]:
        """The newest first."""
        return [Deletion(*row) for row in self._db.rows(schema.DELETIONS, [limit])]

    def begin_pass(self) -> int:
        """A listing begins: what is added from now on is seen; its time (unix ms)."""
        with self._db.changing() as db:
            db.execute("DELETE FROM seen")
            self._passing = True
            return _next_time(db)

    def end_pass(
        self, began: int, since: int | None = None
    ) -> Iterator[tuple[list[str], set[int]]]:
        """Forget what the listing did not have, and was known before it; the refs, in lots, and
        the visits of which they were shots.

        since: only faces of the default template that were captured from then on (unix ms).
        """
        if since is None:
            last = self._db.rows("SELECT coalesce(max(number), 0) FROM faces")[0][0]
            query, starts, step = schema.VANISHED, list(range(0, last, CHUNK)), CHUNK
        else:
            with self._db.reading() as db:
                hours = search.hours(db, Filter(since=since))
            query, step = schema.VANISHED_LATELY, search.HOUR
            starts = [max(since, hour * step) for hour in hours]
        for start in starts:
            values = [start, start - start % step + step, began]
            gone = [ref.hex() for (ref,) in self._db.rows(query, values)]
            if gone:
                yield gone, self.remove(gone)
        with self._db.changing() as db:
            self._passing = False
            db.execute("DELETE FROM seen")

    def _trim(self, db: schema.Connection) -> None:
        over = db.execute(schema.ALL).fetchone()[0] - self._max
        if over <= 0:
            return
        self.is_full = True
        over += min(round(TRIMMED * self._max), TRIMMED_AT_ONCE)
        counts = dict(db.execute("SELECT device, sum(faces) FROM sources GROUP BY 1").fetchall())
        for device, number in share_out(counts, over).items():
            found = search.oldest(db, device, number)
            db.executemany("DELETE FROM faces WHERE number = ?", (at[-1:] for at in found))


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


def _find(db: schema.Connection, ref: str) -> tuple[int, Entry] | None:
    """An entry with its row's number."""
    row = db.execute(f"{rows.SELECT} WHERE ref = ?", [bytes.fromhex(ref)]).fetchone()
    return None if row is None else (row[0], rows.decode(row))


def _entries(db: schema.Connection, found: Iterable[Place]) -> list[Entry]:
    """What stands at these places, in their order."""
    numbers = [at[-1] for at in found]
    marks = ", ".join("?" * len(numbers))
    cursor = db.execute(f"{rows.SELECT} WHERE faces.number IN ({marks})", numbers)
    entries = {row[0]: rows.decode(row) for row in cursor}
    return [entries[number] for number in numbers if number in entries]


def _place(order: Order, entry: Entry, number: int) -> Place:
    if order == "newest":
        return entry.captured, number
    return -1 if entry.sharpness is None else entry.sharpness, entry.captured, number


def _gone(db: schema.Connection, entries: list[Entry]) -> set[str]:
    """The ids among theirs that records of deletion have taken up."""
    ids = {rows.encode_id(entry.id): entry.id for entry in entries}
    marks = ", ".join("?" * len(ids))
    query = f"SELECT id, device FROM gone WHERE id IN ({marks})"
    return {ids[key] for key in db.execute(query, [id for id, _ in ids]) if key in ids}


def _merge(known: Entry, update: Entry) -> Entry:
    """What is said later and says less (a listing, of what was announced) takes nothing away."""
    changes = {
        name: getattr(update, name)
        for name in ("sharpness", "quality", "score", "visit")
        if getattr(update, name) is not None
    }
    if update.known or not known.known:
        changes["captured"] = update.captured
    known = dataclasses.replace(known, known=known.known or update.known, **changes)
    return dataclasses.replace(known, stored=update.stored, size=update.size)


def _next_time(db: schema.Connection) -> int:
    """Now (unix ms), and never before what was added last, though the clock be set back."""
    row = db.execute("SELECT added FROM faces ORDER BY number DESC LIMIT 1").fetchone()
    return max(time.time_ns() // 1_000_000, row[0] if row else 0)
