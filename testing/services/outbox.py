"""Faces for an outbox, and outboxes in all sorts of states."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from detector.outbox import age
from detector.outbox.accounting import Accounts, capture
from detector.outbox.database import (
    MIGRATIONS,
    OutboxChange,
    OutboxDatabase,
    OutboxEntry,
    OutboxPicture,
)
from testing import pictures

SUFFIXES = ("", "-wal", "-shm")


def face(
    seq: int, size: int = 2000, old: float = 0.0, boot: str = age.BOOT, sound: bool = False
) -> tuple[OutboxEntry, OutboxPicture]:
    """A face of pixels that nobody else has, captured `old` seconds ago.

    Without `sound`, a processor rejects it: it is `size` bytes of anything.
    """
    png = pictures.png(8 + seq // 256, 8, seq) if sound else random.Random(seq).randbytes(size)
    size = len(png)
    facts = {"id": f"{seq:032x}", "device": "box-1", "camera": "camera-0"}
    facts |= {"captured": "2026-03-01T12:00:00.000000Z", "clock": "set", "box": "1,2,30,40"}
    ticks, wall = age.monotonic_seconds() - old, time.time() - old
    digest = hashlib.sha256(png).hexdigest()
    return OutboxEntry(seq, facts["id"], digest, size, boot, ticks, wall, False), OutboxPicture(
        png, facts
    )


def fill(
    path: Path, count: int, size: int = 2000, **like: Any
) -> list[tuple[OutboxEntry, OutboxPicture]]:
    """A database with faces 1 to `count`, and books that know them."""
    faces = [face(seq, size, **like) for seq in range(1, count + 1)]
    books = Accounts()
    outbox = OutboxDatabase(path)
    for at in range(0, count, 500):
        batch = faces[at : at + 500]
        books.commit([capture] * len(batch))
        outbox.commit(OutboxChange(added=batch), books.state())
    outbox.close()
    return faces


def fill_first_schema(path: Path, count: int) -> list[tuple[OutboxEntry, OutboxPicture]]:
    """As the first version of the program wrote it."""
    faces = [face(seq) for seq in range(1, count + 1)]
    db = sqlite3.connect(path)
    db.executescript(f"PRAGMA journal_mode=WAL; {MIGRATIONS[0]} PRAGMA user_version=1;")
    for entry, picture in faces:
        record = (entry.seq, entry.id, entry.sha256, entry.size, entry.boot, entry.ticks)
        values = (*record, entry.wall, json.dumps(picture.facts))
        db.execute("INSERT INTO faces VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        db.execute("INSERT INTO pictures VALUES (?, ?)", (entry.seq, picture.png))
    state = json.dumps(Accounts().state() | {"captured": count, "commits": 7})
    db.execute("INSERT INTO books VALUES (1, ?)", (state,))
    db.commit()
    db.close()
    return faces


def copy(path: Path, to: Path) -> Path:
    """The files as `kill -9` would leave them at this moment."""
    for suffix in SUFFIXES:
        Path(f"{to}{suffix}").unlink(missing_ok=True)
        if Path(f"{path}{suffix}").exists():
            shutil.copyfile(f"{path}{suffix}", f"{to}{suffix}")
    return to


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
