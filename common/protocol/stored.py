"""The announcement of one stored object, from the processor to every subscriber."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from common.protocol import clock
from common.protocol.fields import BadMessage, from_json, message_field, to_json

MAX_BYTES = 16 * 1024  # size of the largest announcement that is read
KEY_MAX = 1024  # characters; S3 allows as many bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """Published once for each PUT that returned."""

    key: str = message_field("the object's key")
    sha256: str = message_field("the SHA-256 of the PNG, in hex")
    size: int = message_field("bytes of the object", name="bytes")
    stored: float = message_field("when the PUT returned (RFC 3339, UTC)")
    facts: Mapping[str, Any] = message_field(
        "the properties of the face, each as a separate field", name="(properties)"
    )

    def encode(self) -> bytes:
        own = {"sha256": self.sha256, "bytes": self.size, "stored": clock.to_rfc3339(self.stored)}
        return to_json({"key": self.key, **self.facts, **own})

    @classmethod
    def decode(cls, payload: bytes) -> Stored:
        """An announcement from an untrusted sender; `facts` are as received, unchecked.

        Raises:
            BadMessage: with the reason `too_large`, `no_json`, `no_object` or `no_announcement`.
        """
        facts = from_json(payload, MAX_BYTES)
        key, size = facts.pop("key", None), facts.pop("bytes", None)
        stored, sha256 = (
            clock.parse_rfc3339(facts.pop("stored", None)),
            str(facts.pop("sha256", "")),
        )
        sound = isinstance(key, str) and len(key) <= KEY_MAX and type(size) is int
        if not sound or stored is None or not 0 <= size < 1 << 40:
            raise BadMessage("no_announcement", "the message has no valid key, bytes or stored")
        return cls(key, sha256, size, stored, facts)
