"""An entry as the index's tables have it: numbers and bytes in place of names and texts."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from common.protocol.keys import DEFAULT_TEMPLATE, format_key
from gallery.index.model import Entry
from gallery.index.query import FACE, REJECTED

_UUID = re.compile(r"[0-9a-f]{32}")
COLUMNS = (
    *("ref", "key", "source", "id", "captured", "stored", "size"),
    *("sharpness", "quality", "score", "reason", "known"),
)
_INSERT = f"""
INSERT INTO faces ({", ".join(COLUMNS)}, added) VALUES ({", ".join("?" * len(COLUMNS))}, ?)
"""
SELECT = f"""
SELECT faces.number, device, camera, {", ".join(COLUMNS)}
FROM faces JOIN sources ON sources.number = source
"""


def insert(db: sqlite3.Connection, entry: Entry, added: int) -> int:
    """The number of the new row."""
    return db.execute(_INSERT, (*_encode(db, entry), added)).lastrowid or 0


def update(db: sqlite3.Connection, before: Entry, after: Entry) -> None:
    """Only what differs: each column's indexes are written with it."""
    pairs = zip(COLUMNS, _encode(db, before), _encode(db, after), strict=True)
    changes = {name: new for name, old, new in pairs if new != old}
    if changes:
        values = ", ".join(f"{name} = ?" for name in changes)
        ref = bytes.fromhex(before.ref)
        db.execute(f"UPDATE faces SET {values} WHERE ref = ?", [*changes.values(), ref])


def decode(row: tuple[Any, ...]) -> Entry:
    """An entry of what SELECT finds."""
    _, device, camera, ref, key, source, id, captured, *values, reason, known = row
    if isinstance(id, bytes):
        id = id.hex()
        key = key or _default_key(device, camera, id, captured)
        id = f"{device}/{id}"
    kind = FACE if source > 0 else REJECTED
    stored, size, *numbers = values
    facts: list[Any] = [*numbers, reason, bool(known)]
    return Entry(ref.hex(), key, kind, device, camera, id, captured, stored, size, *facts)


def encode_id(id: str) -> tuple[bytes | str, str]:
    """A face's id, and the device that it is of; a strange id is kept as it is."""
    device, _, own = id.partition("/")
    return (bytes.fromhex(own), device) if _UUID.fullmatch(own) else (id, "")


def _encode(db: sqlite3.Connection, entry: Entry) -> tuple[Any, ...]:
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
        _source(db, entry),
        id,
        entry.captured,
        entry.stored,
        entry.size,
        entry.sharpness,
        entry.quality,
        entry.score,
        entry.reason,
        entry.known,
    )


def _default_key(device: str, camera: str, id: str, captured: int) -> str:
    facts = {"device": device, "camera": camera, "id": id}
    return format_key(DEFAULT_TEMPLATE, facts, captured / 1000)


def _source(db: sqlite3.Connection, entry: Entry) -> int:
    """The number of an entry's kind, device and camera."""
    sign = 1 if entry.kind == FACE else -1
    names = [entry.device, entry.camera]
    query = "SELECT number FROM sources WHERE device = ? AND camera = ? AND number * ? > 0"
    found = db.execute(query, [*names, sign]).fetchone()
    if found is not None:
        return int(found[0])
    query = "SELECT ? * (1 + coalesce(max(abs(number)), 0)) FROM sources"
    number = int(db.execute(query, [sign]).fetchone()[0])
    db.execute("INSERT INTO sources (number, device, camera) VALUES (?, ?, ?)", [number, *names])
    return number
