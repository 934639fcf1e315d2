"""The properties of a PUBLISH: where each one stands, and whether they are valid MQTT 5.

Parsing the twenty properties of a face costs Python more than everything else that a relay does
with it. Most faces, though, have their properties in the same places, with other values. Such a
*layout* is parsed once. Whether other bytes have the same layout is then checked on all of them at
once, as one large integer: are identifiers and lengths the same, is every character allowed?
"""

from __future__ import annotations

from typing import Final

BYTE, TWO, FOUR, VARIABLE, BINARY, TEXT, PAIR = range(7)
# Properties that a PUBLISH may have, by identifier: paho's name and type. MQTT 5, section 2.2.2.2.
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
# Largest properties, in bytes, that are read. A face has 2,000 bytes of names and values (S3 takes
# no more as metadata) and some framing. Parsing 4 MB of properties would take 365 MB of memory.
PROPERTIES_MAX = 16_384
_LARGEST = 1024  # bytes of the largest properties whose layout is cached: 16 MB in all at most
_PER_LENGTH, _LENGTHS = 16, 128  # layouts that are cached

Span = tuple[int, int]
Spans = dict[int, list[Span]]  # by identifier, where the values stand, including their lengths


class TooManyProperties(ValueError):
    """A PUBLISH with more bytes of properties than the protocol needs; they were not read."""

    def __init__(self, topic: str, mid: int, size: int) -> None:
        super().__init__(f"{size} bytes of properties; at most {PROPERTIES_MAX} are read")
        self.topic = topic
        self.mid = mid


class Malformed(ValueError):
    """A packet that breaks MQTT 5, or uses what this client did not offer; says why."""


def read_number(body: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """The Variable Byte Integer at `at`, and where it ends: MQTT 5, section 1.5.5.

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
    """Where each property stands in `raw`.

    Raises:
        Malformed: they break MQTT 5, or use what this client did not offer.
    """
    spans: Spans = {}
    at = 0
    while at < len(raw):
        identifier = raw[at]
        if identifier not in KINDS:
            raise Malformed(f"not a property of a PUBLISH: {identifier}")
        end = _find_end(raw, at + 1, KINDS[identifier][1])
        if end > len(raw):
            raise Malformed("a property longer than all of them")
        if identifier in spans and identifier not in (SUBSCRIPTION, USER):
            raise Malformed(f"{KINDS[identifier][0]} occurs twice")
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
        raise Malformed("a topic alias, although none was offered")
    for at, _ in spans.get(FORMAT, ()):
        if raw[at] > 1:
            raise Malformed("an unknown Payload Format Indicator")
    for at, end in spans.get(SUBSCRIPTION, ()):
        if not read_number(raw, at, end)[0]:
            raise Malformed("a Subscription Identifier of 0")
    for at, end in find_texts(raw, spans):
        check_text(raw[at:end])


def check_text(text: bytes) -> str:
    """A UTF-8 Encoded String, decoded: MQTT 5, section 1.5.4. Raises Malformed."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise Malformed("a string that is not UTF-8") from None
    if "\0" in decoded:
        raise Malformed("a string with U+0000")
    return decoded


def find_texts(raw: bytes, spans: Spans) -> list[Span]:
    """Where the characters of all strings stand, without their lengths."""
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
    """Where the properties of one PUBLISH stand; `fits` checks others of the same length."""

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
        """Whether pure ASCII properties, as an integer, have this layout and no U+0000.

        Adding 127 to a character of 1 to 127 sets the highest bit of its byte; with 0 it does not.
        """
        return (
            value & self._mask == self._pattern
            and (value + self._filled) & self._high == self._high
        )


_cache: dict[int, list[PropertyLayout]] = {}  # by length in bytes


def find_spans(raw: bytes) -> Spans:
    """Same as `parse_spans`, and as strict, but fast where the layout is cached."""
    if len(raw) > _LARGEST or not raw.isascii():
        return parse_spans(raw)
    value = int.from_bytes(raw, "little")
    for layout in _cache.get(len(raw), ()):
        if layout.fits(value):
            return layout.spans
    spans = parse_spans(raw)
    _remember(PropertyLayout(raw, spans), len(raw))
    return spans


def _remember(layout: PropertyLayout, length: int) -> None:
    if len(_cache) >= _LENGTHS:
        _cache.clear()
    layouts = _cache.setdefault(length, [])
    layouts.insert(0, layout)
    del layouts[_PER_LENGTH:]
