"""A receipt: the outcome of one face, sent by the processor to the face's device."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from common.protocol import clock
from common.protocol.fields import BadMessage, from_json, message_field, to_json
from common.protocol.publish import encode_properties

CONTENT_TYPE = "application/json"
MAX_BYTES = 4096  # size of the largest receipt that is read
_REASON = re.compile(r"[a-z_]{1,40}")


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """The response to a face, MQTT 5, section 4.10; the face's PUBLISH names its topic."""

    id: str = message_field("the face's `id`")
    sha256: str = message_field("the SHA-256 of the PNG bytes that arrived, in hex")
    outcome: Literal["stored", "rejected"] = message_field(
        "`stored` after the PUT succeeded; `rejected` after the copy under `rejected/` was stored"
    )
    key: str = message_field("the key of the object that was written")
    reason: str | None = message_field("why the face was rejected, a short fixed word; else null")
    at: float | None = message_field(
        "when the PUT returned, by the processor's clock (RFC 3339, UTC)", default=None
    )

    def encode(self) -> bytes:
        at = None if self.at is None else clock.to_rfc3339(self.at)
        return to_json({name: getattr(self, name) for name in self.__slots__} | {"at": at})

    @staticmethod
    def encode_properties(correlation: bytes) -> bytes:
        """The PUBLISH properties, with the Correlation Data of the face."""
        return encode_properties(CONTENT_TYPE, correlation=correlation)

    @classmethod
    def decode(cls, payload: bytes) -> Receipt:
        """A receipt from an untrusted sender; an unknown reason word reads as `other`.

        Raises:
            BadMessage: with the reason `too_large`, `no_json`, `no_object` or `no_receipt`.
        """
        message = from_json(payload, MAX_BYTES)
        outcome, reason = message.get("outcome"), message.get("reason")
        if outcome not in ("stored", "rejected") or not {"id", "sha256"} <= message.keys():
            raise BadMessage("no_receipt", "the message has no id, sha256 or known outcome")
        if outcome == "rejected" and not (isinstance(reason, str) and _REASON.fullmatch(reason)):
            reason = "other"
        id, sha256 = str(message["id"]), str(message["sha256"])
        at = clock.parse_rfc3339(message.get("at"))
        return cls(id, sha256, outcome, str(message.get("key", "")), reason, at)
