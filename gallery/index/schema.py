"""The index's database file: SQLite, with the schema of this version, or rebuilt.

What a page costs follows what it shows. So faces have integer row numbers, which every index ends
with at no price; a source's number stands in place of kind, device and camera; and how many there
are is counted by triggers as rows come and go. The same triggers keep the lead of each visit: its
best shot, which stands for it in lists. What has no visit is its own lead.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from gallery.index import takeover

log = logging.getLogger(__name__)

Connection = sqlite3.Connection
SHAPE = 3  # of the tables; a file of another shape is taken over, or thrown away
CHECKED = (
    64_000_000  # bytes of a file that is read through at the start; a larger one, as it is used
)

# Sources of faces have numbers above 0, those of rejected objects below. `counts` has a row for
# each quarter of an hour of each source, and with the source 0 of all faces. `key` is NULL where
# the default template makes it of the other columns; `id` is a blob of 16 bytes where it is a UUID.
_TABLES = """
CREATE TABLE sources (
  number INTEGER PRIMARY KEY, device TEXT NOT NULL, camera TEXT NOT NULL,
  faces INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
  visits INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_name ON sources (device, camera);
CREATE TABLE faces (
  number INTEGER PRIMARY KEY, ref BLOB NOT NULL, key TEXT, source INTEGER NOT NULL, id NOT NULL,
  captured INTEGER NOT NULL, stored INTEGER NOT NULL, size INTEGER NOT NULL, sharpness REAL,
  quality REAL, score REAL, reason TEXT NOT NULL, known INTEGER NOT NULL, added INTEGER NOT NULL,
  visit INTEGER, lead INTEGER NOT NULL
);
CREATE TABLE counts (
  source INTEGER, quarter INTEGER, faces INTEGER NOT NULL, unknown INTEGER NOT NULL,
  visits INTEGER NOT NULL, PRIMARY KEY (source, quarter)
) WITHOUT ROWID;
CREATE TABLE seen (number INTEGER PRIMARY KEY);
CREATE TABLE gone (
  id, device TEXT, at INTEGER NOT NULL, PRIMARY KEY (id, device)
) WITHOUT ROWID;
CREATE TABLE logs (
  key TEXT PRIMARY KEY, job TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,
  what TEXT NOT NULL, count INTEGER NOT NULL
) WITHOUT ROWID;
"""
_INDEXES = """
CREATE UNIQUE INDEX by_ref ON faces (ref);
CREATE INDEX by_id ON faces (id) WHERE id <> '';
CREATE INDEX by_time ON faces (captured) WHERE source > 0;
CREATE INDEX by_source ON faces (source, captured);
CREATE INDEX by_storing ON faces (stored);
CREATE INDEX by_sharpness ON faces (captured / 3600000, coalesce(sharpness, -1), captured)
  WHERE source > 0;
CREATE INDEX by_unknown ON faces (source, captured) WHERE NOT known;
"""
# The best shot of a visit is the first in `by_visit`, and of equal ones the one that came first.
_WORSE = "CAST(-1000 * coalesce({}quality, 0) AS INTEGER)"
VISIT_INDEXES = f"""
CREATE INDEX by_visit ON faces (visit, {_WORSE.format("")}) WHERE visit IS NOT NULL;
CREATE INDEX leads_by_time ON faces (captured) WHERE source > 0 AND lead;
CREATE INDEX leads_by_source ON faces (source, captured) WHERE lead;
CREATE INDEX leads_by_sharpness
  ON faces (captured / 3600000, coalesce(sharpness, -1), captured) WHERE source > 0 AND lead;
"""
_COUNT_ADDED = """
  UPDATE sources SET faces = faces + 1, unknown = unknown + NOT new.known,
    visits = visits + new.lead WHERE number = new.source;
  INSERT INTO counts VALUES (new.source, new.captured / 900000, 1, NOT new.known, new.lead)
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown,
    visits = visits + excluded.visits;
  INSERT INTO counts SELECT 0, new.captured / 900000, 1, NOT new.known, new.lead
    WHERE new.source > 0
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown,
    visits = visits + excluded.visits;
"""
_COUNT_REMOVED = """
  UPDATE sources SET faces = faces - 1, unknown = unknown - NOT old.known,
    visits = visits - old.lead WHERE number = old.source;
  UPDATE counts SET faces = faces - 1, unknown = unknown - NOT old.known,
    visits = visits - old.lead
    WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000;
  DELETE FROM counts WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000 AND faces = 0;
  DELETE FROM sources WHERE number = old.source AND faces = 0;
"""


def _set_lead(value: int, number: str) -> str:
    return f"UPDATE faces SET lead = {value} WHERE lead <> {value} AND number = {number}"


def _elect(row: str) -> str:
    """See that the best shot of a row's visit, and no other, is its lead. Whatever happened to one
    row, the lead before it is now the best or the second best, or was that row."""
    best = (
        f"SELECT number FROM faces WHERE visit = {row}.visit"
        f" ORDER BY {_WORSE.format('')}, number LIMIT 1"
    )
    return f"{_set_lead(0, f'({best} OFFSET 1)')}; {_set_lead(1, f'({best})')};"


_MOVED = f"(old.visit, {_WORSE.format('old.')}) IS NOT (new.visit, {_WORSE.format('new.')})"
# What was counted is right before a lead is chosen, which changes it: so each is one trigger.
TRIGGERS = f"""
CREATE TRIGGER added AFTER INSERT ON faces BEGIN {_COUNT_ADDED} {_elect("new")} END;
CREATE TRIGGER removed AFTER DELETE ON faces BEGIN {_COUNT_REMOVED} {_elect("old")} END;
CREATE TRIGGER changed AFTER UPDATE OF source, captured, known, visit, quality ON faces
  WHEN (old.source, old.captured, old.known) <> (new.source, new.captured, new.known) OR {_MOVED}
  BEGIN
    {_COUNT_ADDED} {_COUNT_REMOVED}
    {_set_lead(0, "new.number")} AND new.visit IS NOT NULL AND {_MOVED};
    {_set_lead(1, "new.number")} AND new.visit IS NULL;
    {_elect("old")} {_elect("new")}
  END;
CREATE TRIGGER led AFTER UPDATE OF lead ON faces
  BEGIN
    UPDATE sources SET visits = visits + new.lead - old.lead WHERE number = new.source;
    UPDATE counts SET visits = visits + new.lead - old.lead
      WHERE source IN (new.source, iif(new.source > 0, 0, new.source))
      AND quarter = new.captured / 900000;
  END;
"""
_CREATE = f"""
BEGIN; {_TABLES} {_INDEXES} {VISIT_INDEXES} {TRIGGERS} PRAGMA user_version = {SHAPE}; COMMIT;
"""
ALL = "SELECT coalesce(sum(faces), 0) FROM sources"
DELETIONS = """
SELECT min(at), by, what, sum(count) FROM logs GROUP BY job, by, what ORDER BY 1 DESC LIMIT ?
"""
VANISHED = """
SELECT ref FROM faces WHERE number > ? AND number <= ? AND added < ?
AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.number = faces.number)
"""
VANISHED_LATELY = """
SELECT ref FROM faces WHERE source > 0 AND captured >= ? AND captured < ? AND added < ?
AND key IS NULL AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.number = faces.number)
"""
# An id is in full where the metadata have named the device.
BURIED = """
SELECT faces.number FROM gone JOIN faces
ON faces.id <> '' AND faces.id IN (gone.id, gone.device || '/' || lower(hex(gone.id)))
"""


def connect(path: Path) -> Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -4000")  # kB, for each thread
    return db


def prepare(path: Path) -> None:
    """See that the file is there, in this shape; a damaged one is thrown away.

    Raises:
        sqlite3.OperationalError: the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Large sorts want a place; a container has no other that is large.
    os.environ.setdefault("SQLITE_TMPDIR", str(path.parent))
    try:
        if path.exists() and (found := _schema_version(path)) != SHAPE:
            _replace(path, found)
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        log.warning("%s is damaged (%s); rebuilding the index", path, error)
        discard(path)
    if not path.exists():
        with contextlib.closing(connect(path)) as db:
            db.executescript(_CREATE)


def _replace(path: Path, found: int) -> None:
    """Take an older file over: of the last shape in place, else the new one is beside it until it
    is whole."""
    if found == SHAPE - 1:
        with contextlib.closing(connect(path)) as db:
            takeover.add_visits(db, f"{VISIT_INDEXES} {TRIGGERS} PRAGMA user_version = {SHAPE};")
        return
    beside = path.with_name(f"{path.name}.new")
    discard(beside)
    if found != takeover.SHAPE:
        log.info("%s has a different version; rebuilding the index", path)
        discard(path)
        return
    with contextlib.closing(connect(beside)) as db:
        db.executescript(_CREATE)
        takeover.take_over(path, db)
    discard(path)
    beside.replace(path)


def _schema_version(path: Path) -> int:
    with contextlib.closing(connect(path)) as db:
        if path.stat().st_size <= CHECKED:
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is not what it should be, as against a disk that is full or a lock."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, (sqlite3.OperationalError, sqlite3.ProgrammingError, sqlite3.IntegrityError)
    )


def discard(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
