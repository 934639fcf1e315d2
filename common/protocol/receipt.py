"""A receipt as it comes off the wire, from whoever may write one."""

from __future__ import annotations

import dataclasses
import json
import re

_REASON = re.compile(r"[a-z_]{1,40}")


@dataclasses.dataclass(frozen=True)
class Receipt:
    """`reason` is a short fixed word; `other` where the sender's was none."""

    id: str
    sha256: str
    stored: bool
    reason: str


def read(payload: bytes) -> Receipt | None:
    """The receipt; None for what is none."""
    try:
        receipt = json.loads(payload)
        id, digest = str(receipt["id"]), str(receipt["sha256"])
        outcome, reason = str(receipt["outcome"]), str(receipt.get("reason"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if outcome not in ("stored", "rejected"):
        return None
    word = reason if _REASON.fullmatch(reason) else "other"
    return Receipt(id, digest, outcome == "stored", word)
