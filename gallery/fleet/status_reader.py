"""One status message, read with suspicion: whoever reaches the broker may have written it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from common.mqtt.presence import PERIOD
from common.protocol import clock

PAYLOAD_MAX = 16 * 1024  # bytes; the forwarder relays no larger one
WORD_MAX = 64  # characters of a name, a reason or a version
REASONS_MAX = 12  # of one message; what is beyond is left out, or added up as `other`
NUMBER_MAX = 1e15
PERIODS = (1.0, 600.0)  # seconds: nobody is called online for ever since he says so


class Unreadable(Exception):
    """It is no status message; says why in one short word."""


@dataclasses.dataclass(frozen=True)
class StatusReport:
    """What is known of it; None is what it does not tell, or tells in a way that cannot be."""

    online: bool
    at: float | None  # seconds since 1970, by its sender's clock
    period: float  # seconds
    version: str
    reasons: Mapping[str, str]  # why it is degraded, by what it checked
    frames: float | None  # searched since it was started
    skipped: float | None
    faces: float | None  # captured in all, or, of a processor, stored since it was started
    confirmed: float | None
    sent: float | None
    rejected: Mapping[str, float]
    dropped: Mapping[str, float]
    waiting: float | None  # faces
    waiting_bytes: float | None
    oldest: float | None  # seconds that the oldest of them has waited
    round_trip: float | None  # seconds
    certificate_days: float | None
    ended: bool  # its file has been read to the end


def read(payload: bytes) -> StatusReport:
    """Raises:
    Unreadable: too_large, or no JSON object.
    """
    if len(payload) > PAYLOAD_MAX:
        raise Unreadable("too_large")
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        raise Unreadable("no_json") from None
    if not isinstance(told, dict):
        raise Unreadable("no_object")
    reasons = _by_reason(told, "reasons", word)
    if told.get("status") == "degraded" and not reasons:
        reasons = {"status": "degraded"}
    period = _number(told, "period") or PERIOD
    return StatusReport(
        online=told.get("state") == "online",
        at=_moment(told.get("at")),
        period=max(PERIODS[0], min(period, PERIODS[1])),
        version=word(told.get("version")),
        reasons=reasons,
        frames=_number(told, "frames"),
        skipped=_number(told, "frames_skipped"),
        faces=_number(told, "captured", "stored"),
        confirmed=_number(told, "confirmed"),
        sent=_number(told, "sent"),
        rejected=_by_reason(told, "rejected", _counted),
        dropped=_by_reason(told, "dropped", _counted),
        waiting=_number(told, "waiting", "in_hand"),
        waiting_bytes=_number(told, "waiting_bytes", "in_hand_bytes"),
        oldest=_number(told, "oldest_seconds"),
        round_trip=_number(told, "round_trip"),
        certificate_days=_finite(told.get("certificate_days")),
        ended=told.get("camera_ended") is True,
    )


def word(value: object) -> str:
    """Text of a stranger, short and printable; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    short = value if len(value) <= WORD_MAX else value[: WORD_MAX - 1] + "…"
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in short)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -NUMBER_MAX < value < NUMBER_MAX else None  # NaN is neither


def _number(told: dict[str, Any], *names: str) -> float | None:
    """The first of these that is there: a count, bytes or seconds, never below 0."""
    name = next((name for name in names if name in told), "")
    value = _finite(told.get(name))
    return value if value is not None and value >= 0 else None


def _counted(value: object) -> float | None:
    found = _finite(value)
    return found if found is not None and found > 0 else None


def _by_reason(told: dict[str, Any], name: str, value: Callable[[object], Any]) -> dict[str, Any]:
    """An object of reasons, without those whose value is of no use."""
    given = told.get(name)
    if not isinstance(given, dict):
        return {}
    found: dict[str, Any] = {}
    for reason, raw in given.items():
        known = value(raw)
        if not known:
            continue
        if len(found) < REASONS_MAX:
            found[word(reason) or "?"] = known
        elif isinstance(known, float):
            found["other"] = found.get("other", 0.0) + known
    return found


def _moment(value: object) -> float | None:
    """Seconds since 1970 of RFC 3339 text."""
    if not isinstance(value, str) or len(value) > WORD_MAX:
        return None
    try:
        seconds = clock.seconds(value)
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if math.isfinite(seconds) and abs(seconds) < NUMBER_MAX else None
