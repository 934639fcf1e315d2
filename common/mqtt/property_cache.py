"""The properties of a PUBLISH: where each stands, and whether they are what MQTT 5 says.

To walk over the twenty properties of a face costs Python more than all else that a relay does with
it. But most faces have their properties in the same places, only with other values. Such a *shape*
is walked over once; whether other bytes have it is then asked of them all at once, as one large
integer: are the identifiers and lengths the same, and is every character of a text an allowed one?
"""

from __future__ import annotations

from typing import Final

BYTE, TWO, FOUR, VARIABLE, BINARY, TEXT, PAIR = range(7)
# What a PUBLISH may have, by identifier: paho's name and the type. MQTT 5, section 2.2.2.2.
KINDS: Final = {
    1: ("PayloadFormatIndicator", BYTE),
    2: ("MessageExpiryInterval", FOUR),
    3: ("ContentType", TEXT),
    8: ("ResponseTopic", TEXT),
    9: ("CorrelationData", BINARY),
    11: ("SubscriptionIdentifier", VARIABLE),
    35: ("TopicAlias", TWO),
    38: ("UserProperty", PAIR),
}
FORMAT, EXPIRY, CORRELATION, SUBSCRIPTION, ALIAS, USER = 1, 2, 9, 11, 35, 38
_FIXED = {BYTE: 1, TWO: 2, FOUR: 4}
# Bytes of properties that are read at most. Those of a face have 2,000 of names and values (S3
# takes no more as metadata), and some framing. To make objects of 4 MB of them would take 365 MB.
PROPERTIES_MAX = 16_384
_LARGEST = 1024  # bytes of properties whose shape is remembered: all in all, 16 MB at the most
_PER_LENGTH, _LENGTHS = 16, 128  # shapes that are remembered

Span = tuple[int, int]
Spans = dict[int, list[Span]]  # by identifier, where the values stand: their lengths included


class TooManyProperties(ValueError):
    """A PUBLISH whose properties take more room than our protocol needs; they were not read."""

    def __init__(self, topic: str, mid: int, size: int) -> None:
        super().__init__(f"{size} bytes of properties; {PROPERTIES_MAX} at most are read")
        self.topic = topic
        self.mid = mid


class Malformed(ValueError):
    """What came is nothing that we could have been sent; says why."""


def read_number(body: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """A Variable Byte Integer at `at`, and where it ends: MQTT 5, section 1.5.5.

    Raises:
        Malformed: it does not end before `end`, or has more than four bytes.
    """
    value = shift = 0
    for index in range(at, min(at + 4, end)):
        byte = body[index]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, index + 1
        shift += 7
    raise Malformed("a number does not end")


def parse_spans(raw: bytes) -> Spans:
    """Where each property stands.

    Raises:
        Malformed: they are not what MQTT 5 says, or not what we allow a broker.
    """
    spans: Spans = {}
    at = 0
    while at < len(raw):
        identifier = raw[at]
        if identifier not in KINDS:
            raise Malformed(f"no property of a PUBLISH: {identifier}")
        end = _find_end(raw, at + 1, KINDS[identifier][1])
        if end > len(raw):
            raise Malformed("a property is longer than all of them")
        if identifier in spans and identifier not in (SUBSCRIPTION, USER):
            raise Malformed(f"{KINDS[identifier][0]} stands there twice")
        spans.setdefault(identifier, []).append((at + 1, end))
        at = end
    _check_values(raw, spans)
    return spans


def _find_end(raw: bytes, at: int, kind: int) -> int:
    if kind in _FIXED:
        return at + _FIXED[kind]
    if kind == VARIABLE:
        return read_number(raw, at, len(raw))[1]
    end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
    return end + 2 + int.from_bytes(raw[end : end + 2], "big") if kind == PAIR else end


def _check_values(raw: bytes, spans: Spans) -> None:
    if ALIAS in spans:
        raise Malformed("a topic alias, although we allow none")
    for at, _ in spans.get(FORMAT, ()):
        if raw[at] > 1:
            raise Malformed("an unknown Payload Format Indicator")
    for at, end in spans.get(SUBSCRIPTION, ()):
        if not read_number(raw, at, end)[0]:
            raise Malformed("a Subscription Identifier of 0")
    for at, end in find_texts(raw, spans):
        check_text(raw[at:end])


def check_text(text: bytes) -> str:
    """A UTF-8 Encoded String: MQTT 5, section 1.5.4. Raises Malformed."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None
    if "\0" in decoded:
        raise Malformed("a text with U+0000")
    return decoded


def find_texts(raw: bytes, spans: Spans) -> list[Span]:
    """Where the characters of all texts stand, without their lengths."""
    found = []
    for identifier, values in spans.items():
        kind = KINDS[identifier][1]
        for at, end in values:
            if kind == TEXT:
                found.append((at + 2, end))
            elif kind == PAIR:
                middle = at + 2 + int.from_bytes(raw[at : at + 2], "big")
                found += [(at + 2, middle), (middle + 2, end)]
    return found


class PropertyLayout:
    """The places of the properties of some PUBLISH; `fits` is for others of the same length."""

    __slots__ = ("_filled", "_high", "_mask", "_pattern", "spans")

    def __init__(self, raw: bytes, spans: Spans) -> None:
        self.spans = spans
        fixed, characters = bytearray(b"\xff" * len(raw)), bytearray(len(raw))
        for at, end in find_texts(raw, spans):
            characters[at:end] = b"\1" * (end - at)
            fixed[at:end] = bytes(end - at)
        for identifier, values in spans.items():
            for at, end in values:
                if KINDS[identifier][1] == BINARY:
                    fixed[at + 2 : end] = bytes(end - at - 2)
                elif identifier == EXPIRY:
                    fixed[at:end] = bytes(end - at)
        self._mask = int.from_bytes(fixed, "little")
        self._pattern = int.from_bytes(raw, "little") & self._mask
        ones = int.from_bytes(characters, "little")
        self._filled, self._high = ones * 0x7F, ones * 0x80

    def fits(self, value: int) -> bool:
        """Whether properties of ASCII alone, as an integer, have this shape, and sound texts.

        A character of 1 to 127 and 127 more has the highest bit of its byte set; 0 has not.
        """
        return (
            value & self._mask == self._pattern
            and (value + self._filled) & self._high == self._high
        )


_known: dict[int, list[PropertyLayout]] = {}


def find_spans(raw: bytes) -> Spans:
    """As `walk`, and as strict; fast where the shape is a known one."""
    if len(raw) > _LARGEST or not raw.isascii():
        return parse_spans(raw)
    value = int.from_bytes(raw, "little")
    shapes = _known.get(len(raw))
    if shapes is not None:
        for shape in shapes:
            if shape.fits(value):
                return shape.spans
    found = parse_spans(raw)
    _remember(PropertyLayout(raw, found), len(raw))
    return found


def _remember(shape: PropertyLayout, length: int) -> None:
    if len(_known) >= _LENGTHS:
        _known.clear()
    shapes = _known.setdefault(length, [])
    shapes.insert(0, shape)
    del shapes[_PER_LENGTH:]
