"""An entry as the index's tables have it: numbers and bytes in place of names and texts."""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Iterable
from typing import Any

from common.protocol.keys import DEFAULT_TEMPLATE, format_key
from gallery.index.model import Entry
from gallery.index.query import FACE, REJECTED

AT_ONCE = 200  # rows or values of a statement
_UUID = re.compile(r"[0-9a-f]{32}")
COLUMNS = (
    *("ref", "key", "source", "id", "captured", "stored", "size"),
    *("sharpness", "quality", "score", "reason", "known", "visit"),
)
SELECT = f"""
SELECT faces.number, device, camera, {", ".join(COLUMNS)}
FROM faces JOIN sources ON sources.number = source
"""


class Sources:
    """The numbers of kinds, devices and cameras; those of some entries are read at once."""

    def __init__(self, db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        self._db = db
        devices = {entry.device for entry in entries}
        marks = ", ".join("?" * len(devices))
        query = f"SELECT number, device, camera FROM sources WHERE device IN ({marks})"
        rows = db.execute(query, list(devices))
        self._numbers = {(number > 0, device, camera): number for number, device, camera in rows}

    def number(self, entry: Entry) -> int:
        """That of an entry, which is new if need be."""
        key = entry.kind == FACE, entry.device, entry.camera
        number = self._numbers.get(key)
        if number is None:
            query = "SELECT 1 + coalesce(max(abs(number)), 0) FROM sources"
            number = int(self._db.execute(query).fetchone()[0]) * (1 if key[0] else -1)
            query = "INSERT INTO sources (number, device, camera) VALUES (?, ?, ?)"
            self._db.execute(query, [number, *key[1:]])
            self._numbers[key] = number
        return number


def insert(db: sqlite3.Connection, entries: Iterable[tuple[Entry, int]]) -> None:
    """Entries, each with the time (unix ms) when it was added.

    Many with each statement: while SQLite is at work, and only then, other threads of Python can
    be; between two statements they may be waited for.
    """
    found = iter(entries)
    while lot := list(itertools.islice(found, AT_ONCE)):
        sources = Sources(db, (entry for entry, _ in lot))
        row = f"({', '.join('?' * (len(COLUMNS) + 2))})"
        given = [
            value
            for entry, added in lot
            for value in (*_encode(sources, entry), added, entry.visit is None)
        ]
        columns = ", ".join((*COLUMNS, "added", "lead"))
        db.execute(f"INSERT INTO faces ({columns}) VALUES {', '.join([row] * len(lot))}", given)


def update(db: sqlite3.Connection, before: Entry, after: Entry) -> None:
    """Only what differs: each column's indexes are written with it."""
    sources = Sources(db, [before, after])
    pairs = zip(COLUMNS, _encode(sources, before), _encode(sources, after), strict=True)
    changes = {name: new for name, old, new in pairs if new != old}
    if changes:
        values = ", ".join(f"{name} = ?" for name in changes)
        ref = bytes.fromhex(before.ref)
        db.execute(f"UPDATE faces SET {values} WHERE ref = ?", [*changes.values(), ref])


def decode(row: tuple[Any, ...]) -> Entry:
    """An entry of what SELECT finds."""
    _, device, camera, ref, key, source, id, captured, *values, reason, known, visit = row
    if isinstance(id, bytes):
        id = id.hex()
        key = key or _default_key(device, camera, id, captured)
        id = f"{device}/{id}"
    kind = FACE if source > 0 else REJECTED
    stored, size, *numbers = values
    facts: list[Any] = [*numbers, reason, bool(known), visit]
    return Entry(ref.hex(), key, kind, device, camera, id, captured, stored, size, *facts)


def encode_id(id: str) -> tuple[bytes | str, str]:
    """A face's id, and the device that it is of; a strange id is kept as it is."""
    device, _, own = id.partition("/")
    return (bytes.fromhex(own), device) if _UUID.fullmatch(own) else (id, "")


def _encode(sources: Sources, entry: Entry) -> tuple[Any, ...]:
    id, device = encode_id(entry.id)
    if device != entry.device:  # which the metadata have named, where the key did not
        id = entry.id
    key: str | None = entry.key
    if isinstance(id, bytes) and entry.kind == FACE:
        default = _default_key(device, entry.camera, id.hex(), entry.captured)
        key = None if key == default else key
    return (
        bytes.fromhex(entry.ref),
        key,
        sources.number(entry),
        id,
        entry.captured,
        entry.stored,
        entry.size,
        entry.sharpness,
        entry.quality,
        entry.score,
        entry.reason,
        entry.known,
        entry.visit,
    )


def _default_key(device: str, camera: str, id: str, captured: int) -> str:
    facts = {"device": device, "camera": camera, "id": id}
    return format_key(DEFAULT_TEMPLATE, facts, captured / 1000)
