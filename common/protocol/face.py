"""A face on the wire: PNG bytes with facts as MQTT 5 user properties."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.settings import NAME

CONTENT_TYPE = "image/png"
METADATA_LIMIT = 2000  # bytes; S3 takes 2 KB of user metadata per object

_NUMBER = r"-?[0-9]{1,9}(\.[0-9]{1,6})?"
_BOX = re.compile(r"-?[0-9]{1,6},-?[0-9]{1,6},[0-9]{1,6},[0-9]{1,6}")
FACTS: dict[str, re.Pattern[str]] = {
    "id": re.compile(r"(?!rejected\Z)[A-Za-z0-9][A-Za-z0-9_-]{7,63}"),
    "device": NAME,
    "camera": NAME,
    "captured": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII),
    "clock": re.compile(r"set|corrected|unset"),
    "frame": re.compile(r"[0-9]{1,6}x[0-9]{1,6}"),
    "frame_index": re.compile(r"[0-9]{1,12}"),
    "face": _BOX,
    "box": _BOX,
    "engine": re.compile(r"[a-z0-9_.-]{1,40}"),
    "score": re.compile(_NUMBER),
    "sharpness": re.compile(_NUMBER),
    "quality": re.compile(_NUMBER),
    "track": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "scale": re.compile(_NUMBER),
}
_OTHER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_OTHER_VALUE = re.compile(r"[!-~]([ -~]{0,510}[!-~])?")  # printable ASCII, no blank at either end


class BadProperty(ValueError):
    """A property that is not what the protocol says; names it."""


@dataclasses.dataclass(frozen=True)
class Face:
    """An encoded face and its facts, as text by name (see FACTS)."""

    png: bytes
    facts: dict[str, str]

    @property
    def id(self) -> str:
        return self.facts["id"]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.png).hexdigest()

    def properties(self, response_topic: str) -> Properties:
        """The PUBLISH properties; Response Topic and Correlation Data as in MQTT 5, 4.10."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = CONTENT_TYPE
        properties.ResponseTopic = response_topic
        properties.CorrelationData = self.id.encode()
        properties.UserProperty = list(self.facts.items())
        return properties


def checked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """User properties by name, known ones by their grammar, others if they can be metadata.

    Raises:
        BadProperty: what is wrong with the first bad one.
    """
    facts: dict[str, str] = {}
    size = 0
    for name, value in pairs:
        if not _OTHER_NAME.fullmatch(name):
            raise BadProperty(f"a property's name is not a metadata name: {name[:40]!r}")
        if name in facts:
            raise BadProperty(f"the property {name} stands there twice")
        if not FACTS.get(name, _OTHER_VALUE).fullmatch(value):
            raise BadProperty(f"the property {name} has a bad value: {value[:40]!r}")
        size += len(name) + len(value)
        if size > METADATA_LIMIT:
            raise BadProperty(f"the properties are more than {METADATA_LIMIT} bytes")
        facts[name] = value
    return facts


class Ids:
    """Unique, time-ordered ids: UUID version 7 (RFC 9562, section 5.7) in 32 hex digits.

    74 random bits; made to rise strictly even within a millisecond, or when the clock is set back.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> str:
        milliseconds = self._clock() // 1_000_000
        fresh = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76
        fresh |= secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
        self._last = max(fresh, self._last + 1)
        return f"{self._last:032x}"
