"""Descriptions of a message's fields, JSON, and the error for a message that cannot be read."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class BadMessage(ValueError):
    """A message that breaks the protocol. `reason` is a fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def message_field(meaning: str, *, name: str = "", default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field whose meaning docs/protocol.md shows; `name` is that on the wire."""
    return dataclasses.field(default=default, metadata={"meaning": meaning, "name": name})


def descriptions(message: type) -> dict[str, str]:
    """The meaning of each field of a message, by its name on the wire."""
    return {
        field.metadata["name"] or field.name: field.metadata["meaning"]
        for field in dataclasses.fields(message)
    }


def to_json(message: dict[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    return _encoder.encode(message).encode()


def from_json(payload: bytes, limit: int) -> dict[str, Any]:
    """The object that `payload` holds.

    Raises:
        BadMessage: `too_large` (more than `limit` bytes), `no_json` or `no_object`.
    """
    if len(payload) > limit:
        raise BadMessage("too_large", f"{len(payload)} bytes; at most {limit} are read")
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadMessage("no_json", "the payload is not JSON") from None
    if not isinstance(message, dict):
        raise BadMessage("no_object", "the payload is not a JSON object")
    return message
