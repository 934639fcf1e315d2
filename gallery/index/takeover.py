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

log = logging.getLogger(__name__)

SHAPE = 1
_FACES = """
SELECT added, ref, key, kind, device, camera, id, captured, stored, size, sharpness, quality,
  score, reason, known
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


def _entries(old: sqlite3.Connection) -> Iterator[tuple[Entry, int]]:
    for added, *values, known in old.execute(_FACES):
        arguments: list[Any] = [*values, bool(known)]
        yield Entry(*arguments), added
