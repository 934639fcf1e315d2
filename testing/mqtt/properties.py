"""A PUBLISH's properties as paho reads them: a second opinion on what we write."""

from __future__ import annotations

from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers


def unpack(raw: bytes) -> Any:
    """Properties without their length in front, as paho's object; its fields are set at runtime."""
    properties = Properties(PacketTypes.PUBLISH)
    _, length = properties.unpack(VariableByteIntegers.encode(len(raw)) + raw)
    assert length == len(raw) + len(VariableByteIntegers.encode(len(raw)))
    return properties
