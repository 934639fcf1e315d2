"""The index's database file: SQLite, with the schema of this version, or rebuilt.

What a page costs follows what it shows. So faces have integer row numbers, which every index ends
with at no price; a source's number stands in place of kind, device and camera; and how many there
are is counted by triggers as rows come and go.
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
SHAPE = 2  # of the tables; a file of another shape is taken over, or thrown away
CHECKED = (
    64_000_000  # bytes of a file that is read through at the start; a larger one, as it is used
)

# Sources of faces have numbers above 0, those of rejected objects below. `counts` has a row for
# each quarter of an hour of each source, and with the source 0 of all faces. `key` is NULL where
# the default template makes it of the other columns; `id` is a blob of 16 bytes where it is a UUID.
_TABLES = """
CREATE TABLE sources (
  number INTEGER PRIMARY KEY, device TEXT NOT NULL, camera TEXT NOT NULL,
  faces INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_name ON sources (device, camera);
CREATE TABLE faces (
  number INTEGER PRIMARY KEY, ref BLOB NOT NULL, key TEXT, source INTEGER NOT NULL, id NOT NULL,
  captured INTEGER NOT NULL, stored INTEGER NOT NULL, size INTEGER NOT NULL, sharpness REAL,
  quality REAL, score REAL, reason TEXT NOT NULL, known INTEGER NOT NULL, added INTEGER NOT NULL
);
CREATE TABLE counts (
  source INTEGER, quarter INTEGER, faces INTEGER NOT NULL, unknown INTEGER NOT NULL,
  PRIMARY KEY (source, quarter)
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
_COUNT_ADDED = """
  UPDATE sources SET faces = faces + 1, unknown = unknown + NOT new.known
    WHERE number = new.source;
  INSERT INTO counts VALUES (new.source, new.captured / 900000, 1, NOT new.known)
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown;
  INSERT INTO counts SELECT 0, new.captured / 900000, 1, NOT new.known WHERE new.source > 0
    ON CONFLICT DO UPDATE SET faces = faces + 1, unknown = unknown + excluded.unknown;
"""
_COUNT_REMOVED = """
  UPDATE sources SET faces = faces - 1, unknown = unknown - NOT old.known
    WHERE number = old.source;
  UPDATE counts SET faces = faces - 1, unknown = unknown - NOT old.known
    WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000;
  DELETE FROM counts WHERE source IN (old.source, iif(old.source > 0, 0, old.source))
    AND quarter = old.captured / 900000 AND faces = 0;
  DELETE FROM sources WHERE number = old.source AND faces = 0;
"""
_TRIGGERS = f"""
CREATE TRIGGER added AFTER INSERT ON faces BEGIN {_COUNT_ADDED} END;
CREATE TRIGGER removed AFTER DELETE ON faces BEGIN {_COUNT_REMOVED} END;
CREATE TRIGGER changed AFTER UPDATE OF source, captured, known ON faces
  WHEN (old.source, old.captured, old.known) <> (new.source, new.captured, new.known)
  BEGIN {_COUNT_ADDED} {_COUNT_REMOVED} END;
"""
_CREATE = f"BEGIN; {_TABLES} {_INDEXES} {_TRIGGERS} PRAGMA user_version = {SHAPE}; COMMIT;"
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
    """Take an older file over; the new one is beside it until it is whole."""
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
