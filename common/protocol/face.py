"""A face on the wire: PNG bytes, with metadata as MQTT 5 user properties."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from common.protocol.fields import BadMessage
from common.protocol.publish import encode_properties
from common.protocol.topics import NAME, Topics

CONTENT_TYPE = "image/png"
PROPERTIES_LIMIT = 40  # each becomes a header of the request to the store
METADATA_LIMIT = 2000  # bytes; S3 takes 2 KB of user metadata per object


class Property(NamedTuple):
    """A user property of a face: the grammar of its value, and its meaning."""

    grammar: re.Pattern[str]
    meaning: str


def _property(grammar: str, meaning: str) -> Property:
    return Property(re.compile(grammar, re.ASCII), meaning)


_NUMBER = r"-?[0-9]{1,9}(\.[0-9]{1,6})?"
_BOX = r"-?[0-9]{1,6},-?[0-9]{1,6},[0-9]{1,6},[0-9]{1,6}"
PROPERTIES: dict[str, Property] = {
    "id": _property(
        r"(?!rejected\Z)[A-Za-z0-9][A-Za-z0-9_-]{7,63}",
        "unique and time-ordered: a UUID version 7 (RFC 9562) in 32 hex digits",
    ),
    "device": Property(
        NAME, "name of the box: `[a-z0-9][a-z0-9-]{0,62}`, not `unknown`, `rejected`"
    ),
    "camera": Property(NAME, "name of its camera, by the same rule; never its address"),
    "captured": _property(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z",
        "when the frame was taken: RFC 3339, UTC, microseconds",
    ),
    "clock": _property(
        r"set|corrected|unset",
        "`set`; `unset`: the clock of the box was not set; `corrected`: it was set later, and"
        " `captured` was corrected",
    ),
    "frame": _property(r"[0-9]{1,6}x[0-9]{1,6}", "`WxH` of the frame, pixels"),
    "frame_index": _property(r"[0-9]{1,12}", "in files: the number of the frame, from 0"),
    "face": _property(_BOX, "`x,y,w,h` as detected, pixels of the frame"),
    "box": _property(
        _BOX, "`x,y,w,h` of the crop, including the margin, clipped to the frame: the PNG's size"
    ),
    "engine": _property(
        r"[a-z0-9_.-]{1,40}",
        "what found the face first: `haar`, the cascades; `yunet`, the network",
    ),
    "score": _property(
        _NUMBER,
        "the judge's confidence: YuNet's, 0 to 1, or with `JUDGE=cascade` the number of overlapping"
        " hits",
    ),
    "sharpness": _property(
        _NUMBER, "variance of the Laplacian of the face, scaled to 128 x 128 pixels"
    ),
    "quality": _property(
        _NUMBER,
        "0 to 1, used to choose the best shot: sharpness, weighted by how frontal and whole"
        " the face is",
    ),
    "track": _property(
        r"[A-Za-z0-9_-]{1,64}", "the visit that the shot belongs to, unique across restarts"
    ),
    "scale": _property(
        _NUMBER, "below 1 when the picture was made smaller to stay within `FACE_MAX_KB`"
    ),
}
_OTHER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_OTHER_VALUE = re.compile(r"[!-~]([ -~]{0,510}[!-~])?")  # printable ASCII, no blank at either end


class BadProperty(BadMessage):
    """A property that breaks the protocol; the text names it."""

    def __init__(self, text: str) -> None:
        super().__init__("bad_property", text)


@dataclasses.dataclass(frozen=True, slots=True)
class Face:
    """A face on the wire. `facts` are its properties, as text by name (see PROPERTIES)."""

    png: bytes
    facts: dict[str, str]

    @property
    def id(self) -> str:
        return self.facts["id"]

    @property
    def sha256(self) -> str:
        """SHA-256 of the PNG's bytes, in hex."""
        return hashlib.sha256(self.png).hexdigest()

    def encode(self, topics: Topics) -> tuple[bytes, bytes]:
        """Payload and encoded properties of its PUBLISH (MQTT 5, sections 3.3.2.3 and 4.10)."""
        answer_to = topics.receipts(self.facts["device"])
        properties = encode_properties(
            CONTENT_TYPE, answer_to, self.id.encode(), self.facts.items()
        )
        return self.png, properties

    @classmethod
    def decode(cls, png: bytes, properties: Iterable[tuple[str, str]]) -> Face:
        """A face from an untrusted sender, with its user properties checked, but not its `png`.

        Known properties must match their grammar. Others are accepted if they can be metadata
        of an object. Any may be missing.

        Raises:
            BadProperty: says what is wrong with the first bad one.
        """
        facts: dict[str, str] = {}
        size = 0
        for name, value in properties:
            if not _OTHER_NAME.fullmatch(name):
                raise BadProperty(f"a property's name is not a metadata name: {name[:40]!r}")
            if name in facts:
                raise BadProperty(f"the property {name} occurs twice")
            known = PROPERTIES.get(name)
            if not (known.grammar if known else _OTHER_VALUE).fullmatch(value):
                raise BadProperty(f"the property {name} has a bad value: {value[:40]!r}")
            size += len(name) + len(value)
            if len(facts) >= PROPERTIES_LIMIT:
                raise BadProperty(f"there are more than {PROPERTIES_LIMIT} properties")
            if size > METADATA_LIMIT:
                raise BadProperty(f"the properties are more than {METADATA_LIMIT} bytes")
            facts[name] = value
        return cls(png, facts)


class Ids:
    """Unique, time-ordered ids: UUID version 7 (RFC 9562, section 5.7) in 32 hex digits.

    74 random bits; strictly ascending, even within a millisecond or when the clock is set back.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> str:
        """A new id, greater than every one before."""
        milliseconds = self._clock() // 1_000_000
        fresh = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76
        fresh |= secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
        self._last = max(fresh, self._last + 1)
        return f"{self._last:032x}"
