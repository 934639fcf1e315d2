"""The retained status of a service, from each service to the fleet page and Home Assistant."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from common.protocol import clock
from common.protocol.fields import described, from_json, to_json

PERIOD = 10  # seconds between two status messages; three without a new one: "not heard since"
MAX_BYTES = 16 * 1024  # of a status that is relayed, or read
WORD_MAX = 64  # characters of a reason or a version
REASONS_MAX = 12  # of one message; the counts of further ones are added up as `other`
NUMBER_MAX = 1e15
PERIODS = (1.0, 600.0)  # seconds: the shortest and longest period that is believed


def word(value: object) -> str:
    """A stranger's text, short and printable; empty for anything that is not text."""
    if not isinstance(value, str):
        return ""
    short = value if len(value) <= WORD_MAX else value[: WORD_MAX - 1] + "…"
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in short)


def number(value: object) -> float | None:
    """A finite number of a stranger's; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -NUMBER_MAX < value < NUMBER_MAX else None  # false for NaN


def amount(value: object) -> float | None:
    """A count, bytes or seconds: a number of at least 0."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def by_reason(value: object, read: Callable[[object], Any]) -> dict[str, Any]:
    """An object of reason words, without those whose value `read` makes nothing of."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {}
    for reason, raw in value.items():
        known = read(raw)
        if not known:
            continue
        if len(found) < REASONS_MAX:
            found[word(reason) or "?"] = known
        elif isinstance(known, float):
            found["other"] = found.get("other", 0.0) + known
    return found


def _counts(value: object) -> dict[str, float]:
    return by_reason(value, amount)


def _flag(value: object) -> bool:
    return value is True


class Figure(NamedTuple):
    """One figure of a status: which services send it, what it means, how it is read."""

    services: str
    meaning: str
    read: Callable[[object], Any] = amount


FIGURES: dict[str, Figure] = {
    "certificate_days": Figure(
        "every service with TLS",
        "days until the first certificate of its connection ends: its own, the broker's or the"
        " authority's",
        number,
    ),
    "frames": Figure("detector", "frames searched since it was started"),
    "frames_skipped": Figure("detector", "frames not searched, since newer ones had come"),
    "captured": Figure("detector", "faces captured, across restarts"),
    "confirmed": Figure("detector", "faces whose receipt says that they are stored"),
    "sent": Figure("detector with `DELIVERY=once`", "faces published"),
    "rejected": Figure("detector", "faces rejected by the processor, by reason", _counts),
    "dropped": Figure("detector", "faces given up, by reason", _counts),
    "waiting": Figure("detector, forwarder", "faces waiting to be confirmed, sent or relayed"),
    "waiting_bytes": Figure("detector, forwarder", "bytes of the faces that wait"),
    "oldest_seconds": Figure("detector", "seconds that the oldest face has waited"),
    "under_way": Figure("detector", "faces sent and not yet confirmed"),
    "window_bytes": Figure("detector", "bytes that may be under way at once"),
    "round_trip": Figure("detector", "seconds from publication to receipt, smoothed"),
    "last_receipt": Figure("detector", "when the last receipt came (seconds since 1970)"),
    "camera_ended": Figure("detector", "whether its file has been read to the end", _flag),
    "last_face": Figure(
        "detector with `HOMEASSISTANT=1`",
        "when the newest face since the start was captured (RFC 3339); null before",
        clock.parse_rfc3339,
    ),
    "stored": Figure("processor", "faces stored since it was started"),
    "in_hand": Figure("processor", "faces taken and not yet stored"),
    "in_hand_bytes": Figure("processor", "their bytes"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """Published by each service every `period` seconds; its last will says `offline`."""

    state: Literal["online", "offline"] = described("`online`; `offline` in the last will")
    at: float | None = described("when it was sent, by its sender's clock (RFC 3339, UTC)")
    period: float = described("seconds until the next one; three without one: not heard since")
    version: str = described("version of the service")
    reasons: Mapping[str, str] = described(
        "why it is degraded: a reason word for each check that failed; `status` is then"
        " `degraded`, else `well`"
    )
    figures: Mapping[str, Any] = described(
        "the figures below, each as a field of its own", name="(figures)"
    )

    @classmethod
    def will(cls, at: float) -> Status:
        """What the broker publishes when the service's connection is lost."""
        return cls("offline", at, PERIOD, "", {}, {})

    def encode(self) -> bytes:
        """JSON; a will says no more than `state`, `at` and `period`."""
        message = {
            "state": self.state,
            "at": clock.to_rfc3339(self.at or 0.0),
            "period": self.period,
        }
        if self.state == "online":
            message |= {
                "version": self.version,
                "status": "degraded" if self.reasons else "well",
                "reasons": dict(self.reasons),
                **self.figures,
            }
        return to_json(message)

    @classmethod
    def decode(cls, payload: bytes) -> Status:
        """A status from whoever may write one: what cannot be true is left out.

        Raises:
            BadMessage: with the reason `too_large`, `no_json` or `no_object`.
        """
        message = from_json(payload, MAX_BYTES)
        reasons = by_reason(message.get("reasons"), word)
        if message.get("status") == "degraded" and not reasons:
            reasons = {"status": "degraded"}
        period = amount(message.get("period")) or PERIOD
        figures = {
            name: figure.read(message[name]) for name, figure in FIGURES.items() if name in message
        }
        return cls(
            "online" if message.get("state") == "online" else "offline",
            clock.parse_rfc3339(message.get("at")),
            max(PERIODS[0], min(period, PERIODS[1])),
            word(message.get("version")),
            reasons,
            figures,
        )
