"""The index's database file: SQLite, in the shape of this version, or made anew."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sqlite3
from pathlib import Path

from gallery.index.model import Entry

log = logging.getLogger(__name__)

Connection = sqlite3.Connection
SHAPE = 1  # of the tables; a file of another shape is thrown away

_TABLES = """
CREATE TABLE faces (
  ref TEXT PRIMARY KEY, key TEXT NOT NULL, kind TEXT NOT NULL, device TEXT NOT NULL,
  camera TEXT NOT NULL, id TEXT NOT NULL, captured INTEGER NOT NULL, stored INTEGER NOT NULL,
  size INTEGER NOT NULL, sharpness REAL, quality REAL, score REAL, reason TEXT NOT NULL,
  known INTEGER NOT NULL, added INTEGER NOT NULL, confirmed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX by_time ON faces (kind, captured, ref);
CREATE INDEX by_device ON faces (kind, device, camera, captured, ref);
CREATE INDEX by_device_time ON faces (kind, device, captured, ref);
CREATE INDEX by_age ON faces (captured);
CREATE INDEX by_storing ON faces (stored, ref);
CREATE INDEX by_id ON faces (id);
CREATE TABLE seen (ref TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE gone (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE logs (
  key TEXT PRIMARY KEY, job TEXT NOT NULL, at INTEGER NOT NULL, by TEXT NOT NULL,
  what TEXT NOT NULL, count INTEGER NOT NULL
) WITHOUT ROWID;
"""

_NAMES = [field.name for field in dataclasses.fields(Entry)]

# What is said later and says less (a listing, of what was announced) takes nothing away.
ADD = f"""
INSERT INTO faces ({", ".join(_NAMES)}, added, confirmed)
VALUES ({", ".join(f":{name}" for name in _NAMES)}, :now, :now)
ON CONFLICT (ref) DO UPDATE SET
  stored = excluded.stored, size = excluded.size, confirmed = excluded.confirmed,
  captured = iif(excluded.known OR NOT known, excluded.captured, captured),
  sharpness = coalesce(excluded.sharpness, sharpness),
  quality = coalesce(excluded.quality, quality),
  score = coalesce(excluded.score, score),
  known = known OR excluded.known
"""
LEARN = """
UPDATE faces SET device = :device, camera = :camera, captured = :captured, sharpness = :sharpness,
  quality = :quality, score = :score, known = 1
WHERE ref = :ref
"""
OF_DEVICES = "SELECT device, count(*) FROM faces GROUP BY device"
TRIM = """
DELETE FROM faces WHERE ref IN (SELECT ref FROM faces WHERE device = ? ORDER BY captured LIMIT ?)
"""
DELETIONS = """
SELECT min(at), by, what, sum(count) FROM logs GROUP BY job, by, what ORDER BY 1 DESC LIMIT ?
"""
VANISHED = """
DELETE FROM faces WHERE confirmed < ? AND ref NOT IN (SELECT ref FROM seen) RETURNING ref
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
        if path.exists() and _schema_version(path) != SHAPE:
            log.info("%s has another version; rebuilding the index", path)
            discard(path)
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        log.warning("%s is damaged (%s); rebuilding the index", path, error)
        discard(path)
    if not path.exists():
        with contextlib.closing(connect(path)) as db:
            db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SHAPE}; COMMIT;")


def _schema_version(path: Path) -> int:
    with contextlib.closing(connect(path)) as db:
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
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
