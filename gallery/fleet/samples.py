"""The last day of a few figures of each service, on disk, so that charts outlive a restart.

Each service has a ring of places, one for every five minutes of a day: what is a day old is
written over. The file may be thrown away; one that cannot be used is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from gallery.fleet.instance import InstanceName, RateMeter
from gallery.fleet.statuses import INSTANCES_MAX

log = logging.getLogger(__name__)

EVERY = 300  # seconds
PLACES = 288  # of a day
DAY = EVERY * PLACES  # seconds
FIGURES = ("frames", "faces", "waiting", "dropped", "round_trip")
VERSION = 1  # of the tables

_TABLES = f"""
BEGIN;
CREATE TABLE service (
  id INTEGER PRIMARY KEY, device TEXT NOT NULL, service TEXT NOT NULL, instance TEXT NOT NULL,
  last INTEGER NOT NULL, UNIQUE (device, service, instance)
);
CREATE TABLE sample (
  service INTEGER NOT NULL REFERENCES service ON DELETE CASCADE,
  place INTEGER NOT NULL, at INTEGER NOT NULL,
  {", ".join(f"{figure} REAL" for figure in FIGURES)}, PRIMARY KEY (service, place)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""


@dataclasses.dataclass(frozen=True)
class Series:
    """A day of one service: a value for each five minutes, None where there was none."""

    name: InstanceName
    begin: int  # seconds since 1970 of the first value
    values: dict[str, list[float | None]]  # by figure; those that never had one are left out


class Samples:
    """All calls from one thread.

    Raises:
        sqlite3.Error: the disk is full, or cannot be read or written.
    """

    def __init__(self, path: Path, max_services: int = INSTANCES_MAX) -> None:
        self._path = path
        self._max = max_services
        try:
            self._db = _open_database(path)
        except sqlite3.OperationalError:  # a disk's trouble, or no right: no damage
            raise
        except sqlite3.DatabaseError as error:
            self._db = self._replace(error)

    def _replace(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        log.warning("%s: %s; the charts start over (damaged)", self._path, error)
        for end in ("", "-wal", "-shm"):
            Path(f"{self._path}{end}").unlink(missing_ok=True)
        return _open_database(self._path)

    def add(self, at: int, tallies: Iterable[tuple[InstanceName, RateMeter]]) -> None:
        """What came in the five minutes up to `at`, seconds since 1970, a multiple of EVERY."""
        rows = list(tallies)
        try:
            self._add(at, rows)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._db.close()
            self._db = self._replace(error)
            self._add(at, rows)

    def _add(self, at: int, tallies: list[tuple[InstanceName, RateMeter]]) -> None:
        place = at // EVERY % PLACES
        with self._db as db:
            # Those of the future are there after a clock was set back, and would never go.
            db.execute("DELETE FROM service WHERE last <= ? OR last > ?", (at - DAY, at))
            db.executemany(
                "INSERT INTO service (device, service, instance, last) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET last = excluded.last",
                [(*name, at) for name, _ in tallies],
            )
            db.execute(
                "DELETE FROM service WHERE id IN"
                " (SELECT id FROM service ORDER BY last DESC, id DESC LIMIT -1 OFFSET ?)",
                (self._max,),
            )
            db.executemany(
                f"INSERT OR REPLACE INTO sample (service, place, at, {', '.join(FIGURES)})"  # noqa: S608 - names of ours
                " SELECT id, ?, ?, ?, ?, ?, ?, ? FROM service"
                " WHERE device = ? AND service = ? AND instance = ?",
                [(place, at, *_figures(tally), *name) for name, tally in tallies],
            )

    def of(self, device: str, now: float) -> list[Series]:
        """The last day of all services of a device."""
        end = int(now) // EVERY * EVERY
        begin = end - DAY + EVERY
        found: dict[InstanceName, dict[str, list[float | None]]] = {}
        query = (
            f"SELECT device, s.service, instance, at, {', '.join(FIGURES)}"  # noqa: S608 - names of ours
            " FROM service s JOIN sample ON sample.service = s.id"
            " WHERE device = ? AND at BETWEEN ? AND ? ORDER BY s.service, instance"
        )
        for row in self._db.execute(query, (device, begin, end)):
            empty: dict[str, list[float | None]] = {one: [None] * PLACES for one in FIGURES}
            lists = found.setdefault(InstanceName(*row[:3]), empty)
            for figure, value in zip(FIGURES, row[4:], strict=True):
                lists[figure][(row[3] - begin) // EVERY] = value
        return [Series(name, begin, _drop_empty(lists)) for name, lists in found.items()]

    def lasts(self) -> dict[InstanceName, float]:
        """When each service was heard last, seconds since 1970, to five minutes."""
        rows = self._db.execute("SELECT device, service, instance, last FROM service")
        return {InstanceName(*row[:3]): float(row[3]) for row in rows}

    def close(self) -> None:
        self._db.close()


def _open_database(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError: it is no database, or damaged, or of another version."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = OFF")  # a file that a power cut damages is replaced
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            db.executescript(_TABLES)
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"its tables are of version {version}")
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.close()
        raise
    return db


def _figures(tally: RateMeter) -> tuple[float | None, ...]:
    frames, faces = (
        None if count is None else count / tally.seconds for count in (tally.frames, tally.faces)
    )
    return frames, faces, tally.waiting, tally.dropped, tally.round_trip


def _drop_empty(lists: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    return {one: values for one, values in lists.items() if any(v is not None for v in values)}
