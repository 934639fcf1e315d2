"""The MQTT 5 properties of the PUBLISH that carries a message: section 3.3.2.3."""

from __future__ import annotations

import struct
from collections.abc import Iterable

CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA, USER_PROPERTY = 3, 8, 9, 38


def encode_properties(
    content_type: str,
    response_topic: str = "",
    correlation: bytes = b"",
    user: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The encoded properties without their total length; empty ones are left out.

    Raises:
        struct.error: a text of more than 65,535 bytes, which MQTT cannot carry.
    """
    parts = [_property(CONTENT_TYPE, content_type.encode())]
    if response_topic:
        parts.append(_property(RESPONSE_TOPIC, response_topic.encode()))
    if correlation:
        parts.append(_property(CORRELATION_DATA, correlation))
    for name, value in user:
        parts += (_property(USER_PROPERTY, name.encode()), _text(value.encode()))
    return b"".join(parts)


def _property(identifier: int, value: bytes) -> bytes:
    return bytes((identifier,)) + _text(value)


def _text(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value
