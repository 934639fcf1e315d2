"""The front door: what is this message, whose is it, and does it belong among the faces?"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib

from common import png
from common.protocol.clock import to_rfc3339
from common.protocol.face import PROPERTIES, BadProperty, Face
from common.protocol.topics import Topics

MAX_BYTES = 2_000_000


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A message as it came off the broker."""

    topic: str
    payload: bytes
    user_properties: tuple[tuple[str, str], ...]
    correlation: bytes | None
    response_topic: str | None
    at: float  # seconds since 1970


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`facts` has device, camera, id and captured in any case; `reason` is None for a face."""

    facts: dict[str, str]
    captured: float  # seconds since 1970
    sha256: str
    reason: str | None = None
    text: str = ""


def validate(arrival: Arrival, root: str) -> Verdict:
    """Look at everything that a stranger could have made; never raises for what it finds."""
    sha256 = hashlib.sha256(arrival.payload).hexdigest()
    owner = Topics(root).sender(arrival.topic)
    fallback = {
        "id": sha256[:32],
        "device": "unknown",
        "camera": "unknown",
        **_salvage_names(arrival, owner),
        "captured": to_rfc3339(arrival.at),
    }
    try:
        facts = {**fallback, **Face.decode(arrival.payload, arrival.user_properties).facts}
        captured = _parse_captured(facts["captured"])
        _check_sender(arrival, facts, owner)
    except (BadProperty, ValueError) as error:
        reason = "device_mismatch" if isinstance(error, _WrongDevice) else "bad_property"
        return Verdict(fallback, arrival.at, sha256, reason, str(error))
    if len(arrival.payload) > MAX_BYTES:
        text = f"{len(arrival.payload)} bytes; at most {MAX_BYTES} are accepted"
        return Verdict(facts, captured, sha256, "too_large", text)
    try:
        png.check(arrival.payload)
    except png.BadImage as error:
        return Verdict(facts, captured, sha256, error.reason, str(error))
    return Verdict(facts, captured, sha256)


class _WrongDevice(BadProperty):
    pass


def _salvage_names(arrival: Arrival, owner: str | None) -> dict[str, str]:
    """Whose it is and which, as far as that can be known whatever else is bad about it.

    Its sender gets its answer by this: else it would send the same bad face again for ever.
    """
    said = dict(arrival.user_properties)
    if arrival.correlation is not None:
        said["id"] = arrival.correlation.decode("ascii", "replace")
    if owner is not None:
        said["device"] = owner
    names = ("id", "device", "camera")
    return {
        name: said[name] for name in names if PROPERTIES[name].grammar.fullmatch(said.get(name, ""))
    }


def _check_sender(arrival: Arrival, facts: dict[str, str], owner: str | None) -> None:
    if owner is not None and facts["device"] != owner:
        raise _WrongDevice(f"{owner} published a face of {facts['device']}")
    if arrival.correlation is not None and arrival.correlation != facts["id"].encode():
        raise BadProperty("the Correlation Data is not the face's id")


def _parse_captured(captured: str) -> float:
    moment = datetime.datetime.fromisoformat(captured)
    if not 1970 <= moment.year < datetime.MAXYEAR:
        raise BadProperty(f"captured is not a time that a key can contain: {captured}")
    return moment.timestamp()
