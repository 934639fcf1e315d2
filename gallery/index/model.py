"""An entry of the index: what is known of one object without reading it."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from common.protocol.keys import OWN, REJECTED, KeyFacts
from common.protocol.stored import Stored
from common.store.base import Listed
from gallery.index import query

LATEST = 253_402_300_799_999  # unix milliseconds of the last year that a date has


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """`captured` and `stored`: unix milliseconds; `size`: bytes; `kind`: face or rejected.

    `id`: the face's own, with its device: copies of a face share it; empty if the key tells none.
    `sharpness`, `quality`, `score`: None where
    nobody has said them yet, or the object has none; `known`: its metadata has been read.
    `visit`: the number of the visit that the shot belongs to; None where none is known.
    """

    ref: str
    key: str
    kind: str
    device: str
    camera: str
    id: str
    captured: int
    stored: int
    size: int
    sharpness: float | None = None
    quality: float | None = None
    score: float | None = None
    reason: str = ""
    known: bool = False
    visit: int | None = None

    @property
    def visit_name(self) -> str:
        """The visit as pages and links name it: JavaScript's numbers are too short for it."""
        return "" if self.visit is None else name_visit(self.visit)


@dataclasses.dataclass(frozen=True)
class Record:
    """Some objects deleted together: `at` in unix milliseconds, `what` in words.

    `ids`: of the faces that stay away from now on; what has no id of its own is deleted once.
    """

    job: str
    at: int
    by: str
    what: str
    ids: list[str]
    count: int


def ref_of(key: str) -> str:
    """By what pages and links name an object: nothing of the key, and the same for ever."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def entry_from_listing(one: Listed, read: Callable[[str], KeyFacts | None]) -> Entry | None:
    """From a listing, which has no metadata; None for what is the product's own."""
    key = one.key
    if key.startswith(OWN) or key.endswith("/") or not _is_text(key):
        return None
    named = read(key) or KeyFacts("unknown", "unknown", "", None)
    captured = named.captured if named.captured is not None else one.stored
    return Entry(
        ref=ref_of(key),
        key=key,
        kind=query.REJECTED if key.startswith(REJECTED) else query.FACE,
        device=named.device,
        camera=named.camera,
        id=named.id and f"{named.device}/{named.id}",
        captured=min(captured, LATEST),
        stored=one.stored,
        size=one.size,
        reason=named.reason,
    )


def entry_from_announcement(stored: Stored, read: Callable[[str], KeyFacts | None]) -> Entry | None:
    """The entry of an announced object; None if its key is not that of a face."""
    entry = entry_from_listing(Listed(stored.key, stored.size, round(stored.stored * 1000)), read)
    if entry is None or entry.kind != query.FACE:
        return None
    return with_metadata(entry, stored.facts)


def with_metadata(entry: Entry, facts: Mapping[str, Any]) -> Entry:
    """An entry with what its object's metadata say, as far as the key does not."""
    changes: dict[str, Any] = {
        name: parse_number(facts.get(name)) for name in ("sharpness", "quality", "score")
    }
    for name in ("device", "camera"):
        said = facts.get(name)
        if getattr(entry, name) == "unknown" and isinstance(said, str) and 0 < len(said) <= 100:
            changes[name] = said
    captured = parse_milliseconds(facts.get("captured"))
    if captured is not None:
        changes["captured"] = captured
    entry = dataclasses.replace(entry, known=True, **changes)
    track = facts.get("track")
    if entry.kind != query.FACE or not isinstance(track, str) or not track:
        return entry
    return dataclasses.replace(entry, visit=number_visit(entry.device, entry.camera, track))


def number_visit(device: str, camera: str, track: str) -> int:
    """A visit's number. It is made of its camera's name too: no device joins another's visits."""
    named = "\0".join((device, camera, track)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(named, digest_size=8).digest()) >> 1


def name_visit(visit: int) -> str:
    return f"{visit:016x}"


def parse_number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def parse_milliseconds(value: Any) -> int | None:
    """Of a time by RFC 3339."""
    try:
        moment = datetime.datetime.fromisoformat(value)
        found = round(moment.timestamp() * 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return found if moment.tzinfo is not None and 0 <= found <= LATEST else None


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False
    return True
