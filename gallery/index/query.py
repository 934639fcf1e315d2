"""What a person asks for, and the SQL of it."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
from typing import Any, Literal

FACE, REJECTED = "face", "rejected"
REF = re.compile(r"[0-9a-f]{20}")
Order = Literal["newest", "sharpest"]

# Columns by which a page is ordered, downwards; unique, so that a place in them is one place.
_ORDERS: dict[str, tuple[str, ...]] = {
    "newest": ("captured", "ref"),
    "sharpest": ("coalesce(sharpness, -1)", "captured", "ref"),
}


class BadCursor(ValueError):
    """A cursor that is none of ours."""


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which entries: `since` and `until` are times of capture, unix milliseconds, [since, until);
    `added`, `stored`: only what the index has known, or the store has had, since then or before."""

    kind: str = FACE
    device: str | None = None
    camera: str | None = None
    since: int | None = None
    until: int | None = None
    added: int | None = None
    stored: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """A condition on the table, and its values."""
        terms: list[tuple[str, Any]] = [("kind = ?", self.kind)]
        terms += [
            (condition, value)
            for condition, value in (
                ("device = ?", self.device),
                ("camera = ?", self.camera),
                ("captured >= ?", self.since),
                ("captured < ?", self.until),
                ("added <= ?", self.added),
                ("stored <= ?", self.stored),
            )
            if value is not None
        ]
        return " AND ".join(term for term, _ in terms), [value for _, value in terms]


def order_clause(order: Order, up: bool = False) -> str:
    """An ORDER BY."""
    return ", ".join(f"{column} {'ASC' if up else 'DESC'}" for column in _ORDERS[order])


def after_clause(order: Order, place: tuple[Any, ...], up: bool = False) -> tuple[str, list[Any]]:
    """A condition: what comes after a place in an order, or before it (`up`)."""
    columns = ", ".join(_ORDERS[order])
    marks = ", ".join("?" * len(place))
    return f"({columns}) {'>' if up else '<'} ({marks})", list(place)


def encode_cursor(
    order: Order, captured: int, ref: str, sharpness: float | None
) -> tuple[Any, ...]:
    """Where an entry stands in an order."""
    if order == "newest":
        return captured, ref
    return -1.0 if sharpness is None else sharpness, captured, ref


def decode_cursor(order: Order, at: tuple[Any, ...]) -> str:
    """A place as text for an address."""
    text = json.dumps([order, *at], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def cursor_of(text: str, order: Order) -> tuple[Any, ...]:
    """The way back.

    Raises:
        BadCursor: it is not a cursor of that order.
    """
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        said, *at = found
        *numbers, ref = at
    except (binascii.Error, ValueError, TypeError):
        raise BadCursor("this is no place in the list") from None
    sound = all(type(n) in (int, float) and abs(n) < 1 << 62 for n in numbers)
    sound = sound and isinstance(ref, str) and REF.fullmatch(ref) is not None
    if said != order or len(at) != len(_ORDERS[order]) or not sound:
        raise BadCursor("this is no place in this list")
    return tuple(at)
