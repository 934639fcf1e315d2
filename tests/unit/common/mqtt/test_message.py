"""A message as bytes: paho's own encoding is the reference, in both directions."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.mqtt import message, property_cache
from common.mqtt.message import Message
from common.mqtt.property_cache import PROPERTIES_MAX, Malformed, TooManyProperties
from testing.mqtt.publish import parse_publish

ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
# Shapes are of ASCII, so that most should be.
TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=80) | st.text(
    ANY, max_size=20
)
TOPIC = TEXT.filter(lambda text: text and not {"+", "#"} & set(text))
SINGLES = {
    "PayloadFormatIndicator": st.integers(0, 1),
    "MessageExpiryInterval": st.integers(0, 2**32 - 1),
    "ContentType": TEXT,
    "ResponseTopic": TOPIC,
    "CorrelationData": st.binary(max_size=300),
}
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        **SINGLES,
        "UserProperty": st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20),
        "SubscriptionIdentifier": st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3),
    },
)
HOP = ("MessageExpiryInterval", "SubscriptionIdentifier")


def paho(named: dict[str, Any]) -> Properties:
    made = Properties(PacketTypes.PUBLISH)
    for name, value in named.items():
        setattr(made, name, value)
    return made


def came(raw: bytes, payload: bytes = b"") -> Message:
    return parse_publish(message.encode_publish_head("t", len(payload), 0, False, 0, raw) + payload)


@given(TOPIC, st.binary(max_size=40_000), st.integers(0, 1), st.booleans(), KNOWN)
def test_what_paho_encodes_is_read_as_paho_names_it(
    topic: str, payload: bytes, qos: int, retain: bool, named: dict[str, Any]
) -> None:
    raw = message.pack_properties(paho(named))
    for _ in range(2):  # by a walk, then by a shape that is known
        read = parse_publish(
            message.encode_publish_head(topic, len(payload), qos, retain, 7, raw) + payload
        )
        assert (read.topic, read.payload, bytes(read.content)) == (topic, payload, payload)
        assert (read.qos, read.retain, read.mid) == (qos, retain, 7 * qos)
        for name in {**SINGLES, "UserProperty": 0, "SubscriptionIdentifier": 0}:
            assert getattr(read.properties, name, None) == named.get(name)
        assert read.expiry == named.get("MessageExpiryInterval")
        assert read.correlation == named.get("CorrelationData")


@given(KNOWN)
def test_what_is_passed_on_is_what_paho_reads_but_for_what_belongs_to_one_hop(
    named: dict[str, Any],
) -> None:
    raw = came(message.pack_properties(paho(named))).encode_for_next_hop()
    read = Properties(PacketTypes.PUBLISH)
    read.unpack(message.encode_number(len(raw)) + raw)
    expected = {name: value for name, value in named.items() if name not in HOP}
    for name in named:
        assert getattr(read, name, None) == expected.get(name)


def test_a_property_that_is_not_there_is_an_attribute_error_as_with_paho() -> None:
    properties = came(b"").properties
    for name in ("CorrelationData", "UserProperty", "NoSuchThing"):
        assert not hasattr(properties, name)


@given(KNOWN, st.data())
def test_bytes_that_are_spoilt_are_refused_or_mean_something_to_paho_too(
    named: dict[str, Any], data: st.DataObject
) -> None:
    raw = bytearray(message.pack_properties(paho(named)))
    came(bytes(raw))  # so that the shape is known
    for _ in range(data.draw(st.integers(1, 3))):
        if raw:
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at] = data.draw(st.integers(0, 255))
    spoilt = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    read = Properties(PacketTypes.PUBLISH)
    try:
        mine = came(spoilt).properties
    except Malformed:
        return
    if b"\xef\xbb\xbf" in spoilt:
        return  # U+FEFF, which paho refuses, and MQTT 5 does not
    read.unpack(message.encode_number(len(spoilt)) + spoilt)
    for name in {**SINGLES, "UserProperty": 0, "SubscriptionIdentifier": 0}:
        assert getattr(mine, name, None) == getattr(read, name, None)


@settings(deadline=None, max_examples=30)  # each tries hundreds of bytes
@given(KNOWN)
def test_a_known_shape_is_no_less_strict_than_a_walk(named: dict[str, Any]) -> None:
    raw = message.pack_properties(paho(named))
    came(raw)
    for at in range(len(raw)):
        for byte in (0, 1, 0x26, 0x7F, 0x80, 0xFF):
            other = raw[:at] + bytes((byte,)) + raw[at + 1 :]
            try:
                expected = property_cache.parse_spans(other)
            except Malformed:
                expected = None
            try:
                assert property_cache.find_spans(other) == expected
            except Malformed:
                assert expected is None


def text(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00",  # no such property
        b"\x11\x00\x00\x00\x01",  # one of other packets
        b"\x23\x00\x01",  # a topic alias
        b"\x01\x02",  # an unknown payload format
        b"\x01\x01\x01\x01",  # twice
        b"\x03" + text(b"a") + b"\x03" + text(b"b"),
        b"\x09" + text(b"a") + b"\x09" + text(b"a"),
        b"\x0b\x00",  # a subscription identifier of 0
        b"\x0b\x80\x80\x80\x80\x01",  # of five bytes
        b"\x0b\x80",
        b"\x02\x00\x00\x01",  # cut short
        b"\x03\x00",
        b"\x03\x00\x02a",
        b"\x26" + text(b"name") + b"\x00",
        b"\x26" + text(b"name") + b"\x00\x02a",
        b"\x03" + text(b"\xff\xfe"),  # no UTF-8
        b"\x03" + text(b"\xed\xa0\x80"),  # a surrogate
        b"\x03" + text(b"a\0b"),
        b"\x26" + text(b"\0") + text(b"v"),
        b"\x26" + text(b"n") + text(b"\xc3"),
    ],
)
def test_properties_that_are_none_are_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        came(raw)


@pytest.mark.parametrize(
    ("first", "body"),
    [
        (0x30, b""),
        (0x30, b"\x00"),
        (0x30, b"\x00\x00\x00"),  # no topic, although there are no aliases
        (0x30, b"\x00\x01"),  # a topic that is longer than the packet
        (0x30, b"\x00\x01t"),  # no properties
        (0x30, b"\x00\x01t\x01"),  # properties that are longer than the packet
        (0x30, b"\x00\x01t\x80\x80\x80\x80\x00"),
        (0x30, b"\x00\x01+\x00"),
        (0x30, b"\x00\x03a/#\x00"),
        (0x30, b"\x00\x01\x00\x00"),
        (0x30, b"\x00\x02\xff\xfe\x00"),
        (0x32, b"\x00\x01t"),  # no packet identifier
        (0x32, b"\x00\x01t\x00\x00\x00"),  # that of 0
        (0x34, b"\x00\x01t\x00\x01\x00"),  # QoS 2, which we never ask for
        (0x36, b"\x00\x01t\x00\x01\x00"),  # QoS 3
    ],
)
def test_a_publish_that_is_none_is_refused(first: int, body: bytes) -> None:
    with pytest.raises(Malformed):
        Message(first, body)


def test_a_publish_that_is_cut_anywhere_is_refused_or_has_a_shorter_payload() -> None:
    raw = message.pack_properties(paho({"CorrelationData": b"id", "UserProperty": [("a", "b")]}))
    whole = message.encode_publish_head("faces", 3, 1, False, 9, raw) + b"png"
    for cut in range(2, len(whole)):
        if cut >= len(whole) - 3:
            assert Message(whole[0], whole[2:cut]).payload == b"png"[: cut - len(whole)]
        else:
            with pytest.raises(Malformed):
                Message(whole[0], whole[2:cut])


def test_properties_beyond_what_the_protocol_needs_are_not_read() -> None:
    empty = b"\x26\0\0\0\0"
    assert len(came(empty * (PROPERTIES_MAX // 5)).properties.UserProperty) == PROPERTIES_MAX // 5
    tracemalloc.start()
    raw = empty * 800_000
    packet = message.encode_publish_head("faces/from/thief", 0, 1, True, 7, raw)
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(TooManyProperties) as caught:
        parse_publish(packet)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.topic, caught.value.mid) == ("faces/from/thief", 7)
    assert peak - before < 2 * len(packet)


def test_as_many_topics_and_shapes_are_remembered_as_there_is_room_for() -> None:
    for number in range(3000):
        assert (
            parse_publish(message.encode_publish_head(f"t/{number}", 0, 0, False, 0, b"")).topic
            == f"t/{number}"
        )
        came(b"\x03" + text(b"x" * (number % 600)))
    assert len(message._topics) <= message._TOPICS
    assert (
        sum(map(len, property_cache._cache.values()))
        <= property_cache._LENGTHS * property_cache._PER_LENGTH
    )


@given(st.integers(0, 268_435_455))
def test_numbers_are_written_as_they_are_read(value: int) -> None:
    raw = message.encode_number(value)
    assert property_cache.read_number(raw, 0, len(raw)) == (value, len(raw))
