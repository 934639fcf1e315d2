"""The retained status of a service, for the fleet page and Home Assistant."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from common.protocol import clock
from common.protocol.fields import from_json, message_field, to_json

PERIOD = 10  # seconds between two statuses; after three without one a service is "not heard from"
MAX_BYTES = 16 * 1024  # size of the largest status that is relayed or read
WORD_MAX = 64  # characters of a reason or a version
REASONS_MAX = 12  # reasons of one message; the counts of further ones are added up as `other`
NUMBER_MAX = 1e15
FLOODING_SENDER = "sender_"  # checks that name a device begin so; its name follows
WATCHERS = ("processor", "broker")  # services that know who floods; a device could accuse another
PERIODS = (1.0, 600.0)  # seconds: the shortest and longest period that is accepted


def word(value: object) -> str:
    """Untrusted text, made short and printable; empty for anything that is not text."""
    if not isinstance(value, str):
        return ""
    short = value if len(value) <= WORD_MAX else value[: WORD_MAX - 1] + "…"
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in short)


def number(value: object) -> float | None:
    """An untrusted finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -NUMBER_MAX < value < NUMBER_MAX else None  # false for NaN


def amount(value: object) -> float | None:
    """An untrusted count, bytes or seconds: a number of at least 0; None for anything else."""
    found = number(value)
    return found if found is not None and found >= 0 else None


def by_reason(value: object, read: Callable[[object], Any]) -> dict[str, Any]:
    """Values by reason word, as `read` returns them; those that it turns down are left out."""
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
    """One figure of a status: the services that send it, its meaning, how to read it."""

    services: str
    meaning: str
    read: Callable[[object], Any] = amount


FIGURES: dict[str, Figure] = {
    "certificate_days": Figure(
        "every service with TLS",
        "days until the first certificate of its connection expires: its own, the broker's or the"
        " authority's",
        number,
    ),
    "frames": Figure("detector", "frames searched since the detector started"),
    "frames_skipped": Figure("detector", "frames not searched, because newer ones had arrived"),
    "captured": Figure("detector", "faces captured, across restarts"),
    "confirmed": Figure("detector", "faces whose receipt says that they are stored"),
    "sent": Figure("detector with `DELIVERY=once`", "faces published"),
    "rejected": Figure("detector", "faces rejected by the processor, by reason", _counts),
    "dropped": Figure("detector", "faces dropped, by reason", _counts),
    "waiting": Figure("detector, forwarder", "faces waiting to be confirmed, sent or relayed"),
    "waiting_bytes": Figure("detector, forwarder", "bytes of the faces that wait"),
    "oldest_seconds": Figure("detector", "seconds that the oldest face has waited"),
    "under_way": Figure("detector", "faces in flight: sent and not yet confirmed"),
    "window_bytes": Figure("detector", "bytes that may be in flight at once"),
    "round_trip": Figure("detector", "seconds from publication to receipt, smoothed"),
    "last_receipt": Figure("detector", "when the last receipt arrived (seconds since 1970)"),
    "camera_ended": Figure("detector", "whether its file has been read to the end", _flag),
    "last_face": Figure(
        "detector with `HOMEASSISTANT=1`",
        "when the newest face since the start was captured (RFC 3339); null before",
        clock.parse_rfc3339,
    ),
    "stored": Figure("processor", "faces stored since the processor started"),
    "in_hand": Figure("processor", "faces in progress: received and not yet stored"),
    "in_hand_bytes": Figure("processor", "bytes of the faces in progress"),
    "refused": Figure(
        "broker, while a device floods",
        "messages refused because their device exceeds its rate, by device, since it was started",
        _counts,
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """A service's state, published every `period` seconds; its last will says `offline`."""

    state: Literal["online", "offline"] = message_field("`online`; `offline` in the last will")
    at: float | None = message_field(
        "when the status was sent, by the sender's clock (RFC 3339, UTC)"
    )
    period: float = message_field("seconds until the next status")
    version: str = message_field("version of the service")
    reasons: Mapping[str, str] = message_field(
        "why the service is degraded: a reason word for each failed check; `status` is then"
        " `degraded`, else `well`"
    )
    figures: Mapping[str, Any] = message_field(
        "the figures below, each as a separate field", name="(figures)"
    )

    @classmethod
    def will(cls, at: float) -> Status:
        """The last will, which the broker publishes when the service's connection is lost."""
        return cls("offline", at, PERIOD, "", {}, {})

    def encode(self) -> bytes:
        """The status as JSON; a will has only `state`, `at` and `period`."""
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
        """A status from an untrusted sender; values that cannot be true are left out.

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
