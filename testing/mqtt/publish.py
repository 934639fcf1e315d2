"""A PUBLISH as bytes: encoded and parsed by our own code, its properties read by paho's."""

from __future__ import annotations

from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from common.mqtt import Message
from common.mqtt.message import encode_publish_head
from common.mqtt.property_cache import read_number


def encode_publish(
    topic: str, payload: bytes = b"", *, retain: bool = False, properties: bytes = b""
) -> bytes:
    """A PUBLISH of QoS 0."""
    return encode_publish_head(topic, len(payload), 0, retain, 0, properties) + payload


def parse_publish(packet: bytes) -> Message:
    """As the wire would give it: first byte, and all behind the length."""
    start = read_number(packet, 1, len(packet))[1]
    return Message(packet[0], packet[start:])


def unpack(raw: bytes) -> Any:
    """Properties without their length in front, as paho's object; its fields are set at runtime."""
    properties = Properties(PacketTypes.PUBLISH)
    _, length = properties.unpack(VariableByteIntegers.encode(len(raw)) + raw)
    assert length == len(raw) + len(VariableByteIntegers.encode(len(raw)))
    return properties
