"""An index that an older version has written: its rows, into the tables of this one."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gallery.index import rows
from gallery.index.model import Entry
from gallery.index.query import FACE

log = logging.getLogger(__name__)

SHAPE = 1
# The file knows no track: the metadata of its faces are read again where somebody asks for them.
_ADD_VISITS = """
DROP TRIGGER added; DROP TRIGGER removed; DROP TRIGGER changed;
ALTER TABLE sources ADD COLUMN visits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counts ADD COLUMN visits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE faces ADD COLUMN visit INTEGER;
ALTER TABLE faces ADD COLUMN lead INTEGER NOT NULL DEFAULT 1;
UPDATE faces SET known = 0 WHERE source > 0 AND known;
UPDATE sources SET visits = faces, unknown = iif(number > 0, faces, unknown);
UPDATE counts SET visits = faces, unknown = iif(source >= 0, faces, unknown);
"""
_FACES = """
SELECT added, ref, key, kind, device, camera, id, captured, stored, size, sharpness, quality,
  score, reason, kind, known
FROM faces ORDER BY added
"""


def take_over(path: Path, db: sqlite3.Connection) -> None:
    """All that a file of the shape 1 has, in one transaction.

    Raises:
        sqlite3.Error: the file is damaged, or the disk is full.
    """
    began = time.monotonic()
    log.info("migrating the index of an older version")
    with contextlib.closing(sqlite3.connect(path)) as old:
        db.execute("BEGIN")
        rows.insert(db, _entries(old))
        for id, at in old.execute("SELECT id, at FROM gone"):
            db.execute("INSERT INTO gone VALUES (?, ?, ?)", [*rows.encode_id(id), at])
        logs = old.execute("SELECT key, job, at, by, what, count FROM logs")
        db.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", logs)
        faces = db.execute("SELECT count(*) FROM faces").fetchone()[0]
        db.execute("COMMIT")
    log.info("migrated %d faces in %.1f s", faces, time.monotonic() - began)


def add_visits(db: sqlite3.Connection, rest: str) -> None:
    """Give a file of the shape 2 what the next one has beside it, in one transaction.

    rest: the statements that make its indexes and triggers.

    Raises:
        sqlite3.Error: the file is damaged, or the disk is full; the file is as it was.
    """
    began = time.monotonic()
    log.info("adding visits to the index of an older version")
    try:
        db.executescript(f"BEGIN IMMEDIATE; {_ADD_VISITS} {rest} COMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    log.info("added visits in %.1f s", time.monotonic() - began)


def _entries(old: sqlite3.Connection) -> Iterator[tuple[Entry, int]]:
    for added, *values, kind, known in old.execute(_FACES):
        arguments: list[Any] = [*values, bool(known) and kind != FACE]
        yield Entry(*arguments), added
