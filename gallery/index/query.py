"""What a person asks for, and places in a list of it."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
from typing import Literal

FACE, REJECTED = "face", "rejected"
REF = re.compile(r"[0-9a-f]{20}")
VISIT = re.compile(r"[0-7][0-9a-f]{15}")  # a visit's name
Order = Literal["newest", "sharpest"]
# Where an entry stands in an order, which goes downwards: its time of capture (unix ms) and its
# row's number; before these, where the sharpest come first, its sharpness, -1 for none.
Place = tuple[float, ...]
_LENGTHS: dict[str, int] = {"newest": 2, "sharpest": 3}


class BadCursor(ValueError):
    """A cursor that the gallery did not create."""


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which entries: `since` and `until` are times of capture, unix milliseconds, [since, until);
    `added`, `stored`: only what the index has known, or the store has had, since then or before;
    `visit`: only the shots of that visit; `leads`: of each visit only its lead, the best shot."""

    kind: str = FACE
    device: str | None = None
    camera: str | None = None
    since: int | None = None
    until: int | None = None
    added: int | None = None
    stored: int | None = None
    visit: int | None = None
    leads: bool = False


def encode_cursor(order: Order, place: Place) -> str:
    """A place as text for an address."""
    text = json.dumps([order, *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str, order: Order) -> Place:
    """The way back.

    Raises:
        BadCursor: it is not a cursor of that order.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        said, *place = found
    except (binascii.Error, ValueError, TypeError):
        raise BadCursor("not a position in a list") from None
    sound = all(type(n) in (int, float) and abs(n) < 1 << 62 for n in place)
    if said != order or len(place) != _LENGTHS[order] or not sound:
        raise BadCursor("not a position in this list")
    return tuple(place)
