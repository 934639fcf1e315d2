"""A PUBLISH as bytes: incoming ones are parsed on demand, outgoing ones encoded.

A `Message` stands in for paho's MQTTMessage and Properties, and uses their names. A relay passes
most of a message on unchanged, so it should neither turn bytes into objects nor back.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

from paho.mqtt.properties import Properties

from common.mqtt.property_cache import (
    BINARY,
    CORRELATION,
    EXPIRY,
    KINDS,
    PAIR,
    PROPERTIES_MAX,
    SUBSCRIPTION,
    TEXT,
    USER,
    VARIABLE,
    Malformed,
    Spans,
    TooManyProperties,
    check_text,
    find_spans,
    read_number,
)

_IDENTIFIERS = {name: identifier for identifier, (name, _) in KINDS.items()}
_TOPICS = 1000  # topics whose decoded text is cached
_FIRST = [bytes((0x30 | flags,)) for flags in range(4)]  # QoS 0 and 1, retained or not

_topics: dict[bytes, str] = {}


@lru_cache(4096)  # the faces of one camera have few different lengths
def encode_number(value: int) -> bytes:
    """`value` as a Variable Byte Integer: MQTT 5, section 1.5.5."""
    if value < 128:
        return bytes((value,))
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


@lru_cache(1024)
def _encode_topic(topic: str) -> bytes:
    name = topic.encode()
    return struct.pack("!H", len(name)) + name


def encode_publish_head(
    topic: str, size: int, qos: int, retain: bool, mid: int, properties: bytes
) -> bytes:
    """A PUBLISH up to its payload of `size` bytes: MQTT 5, section 3.3."""
    name = _encode_topic(topic)
    packet_id = mid.to_bytes(2, "big") if qos else b""
    length = encode_number(len(properties))
    rest = encode_number(len(name) + len(packet_id) + len(length) + len(properties) + size)
    return b"".join((_FIRST[qos << 1 | retain], rest, name, packet_id, length, properties))


def pack_properties(properties: Properties) -> bytes:
    """paho's properties encoded, without the leading length."""
    whole: bytes = properties.pack()
    return whole[read_number(whole, 0, len(whole))[1] :]


class PropertyReader:
    """A message's properties by paho's names; AttributeError for one that it does not have."""

    __slots__ = ("_raw", "_spans")

    def __init__(self, raw: bytes, where: Spans) -> None:
        self._raw = raw
        self._spans = where

    def __getattr__(self, name: str) -> Any:
        identifier = _IDENTIFIERS.get(name, 0)
        where = self._spans.get(identifier)
        if not where:
            raise AttributeError(name)
        values = [_decode_value(KINDS[identifier][1], self._raw[at:end]) for at, end in where]
        return values if identifier in (SUBSCRIPTION, USER) else values[0]


def _decode_value(kind: int, raw: bytes) -> Any:
    if kind == VARIABLE:
        return read_number(raw, 0, len(raw))[0]
    if kind == BINARY:
        return raw[2:]
    if kind == TEXT:
        return raw[2:].decode()
    if kind == PAIR:
        middle = 2 + int.from_bytes(raw[:2], "big")
        return raw[2:middle].decode(), raw[middle + 2 :].decode()
    return int.from_bytes(raw, "big")


class Message:
    """One received PUBLISH. `mid` is its packet identifier, 0 at QoS 0.

    Raises:
        Malformed: it breaks MQTT 5, or uses what this client did not offer.
        TooManyProperties: its properties are too large, and were not read.
    """

    __slots__ = ("_at", "_body", "_raw", "_spans", "mid", "qos", "retain", "topic")

    def __init__(self, first: int, body: bytes | bytearray) -> None:
        """`first` is the packet's first byte, `body` everything after the remaining length."""
        size = len(body)
        at = 2 + (body[0] << 8 | body[1]) if size > 1 else size
        self.qos = first >> 1 & 3
        self.retain = bool(first & 1)
        self.mid = 0
        if self.qos:
            if self.qos > 1 or at + 2 >= size:
                raise Malformed("a PUBLISH that is truncated, or of a QoS not subscribed to")
            self.mid = body[at] << 8 | body[at + 1]
            if not self.mid:
                raise Malformed("a packet identifier of 0")
        name = bytes(body[2:at])
        self.topic = _topics.get(name) or _topic(name)
        at += 2 * self.qos
        if at >= size:
            raise Malformed("a PUBLISH that ends before its properties")
        length = body[at]
        at += 1
        if length > 127:
            length, at = read_number(body, at - 1, size)
        self._at = at + length
        if self._at > size:
            raise Malformed("properties longer than the PUBLISH")
        if length > PROPERTIES_MAX:
            raise TooManyProperties(self.topic, self.mid, length)
        self._body = body
        self._raw = bytes(body[at : self._at])
        self._spans = find_spans(self._raw)

    @property
    def payload(self) -> bytes:
        """A copy of the payload."""
        return bytes(self.content)

    @property
    def content(self) -> memoryview:
        """A view of the payload."""
        return memoryview(self._body)[self._at :]

    @property
    def properties(self) -> PropertyReader:
        return PropertyReader(self._raw, self._spans)

    @property
    def expiry(self) -> int | None:
        """The Message Expiry Interval in seconds; None without one."""
        raw = self._only(EXPIRY)
        return None if raw is None else int.from_bytes(raw, "big")

    @property
    def correlation(self) -> bytes | None:
        """The Correlation Data; None without."""
        raw = self._only(CORRELATION)
        return None if raw is None else raw[2:]

    def _only(self, identifier: int) -> bytes | None:
        where = self._spans.get(identifier)
        if where is None:
            return None
        at, end = where[0]
        return self._raw[at:end]

    def encode_for_next_hop(self) -> bytes:
        """The encoded properties that a relay passes on.

        Subscription Identifiers are left out, since they belong to one hop (MQTT 5, section
        3.3.2.3.8), and so is the Message Expiry Interval, which the relay has to reduce.
        """
        if EXPIRY not in self._spans and SUBSCRIPTION not in self._spans:
            return self._raw
        where = [*self._spans.get(EXPIRY, ()), *self._spans.get(SUBSCRIPTION, ())]
        raw = self._raw
        for at, end in sorted(where, reverse=True):
            raw = raw[: at - 1] + raw[end:]
        return raw


def _topic(name: bytes) -> str:
    text = check_text(name)
    if not text or "#" in text or "+" in text:
        raise Malformed("not a topic name")
    if len(_topics) >= _TOPICS:
        _topics.clear()
    _topics[name] = text
    return text
