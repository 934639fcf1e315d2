"""What the processor says: receipts to the senders, `faces/stored` to whoever wants to know."""

from __future__ import annotations

import json
import struct
import time

from common.mqtt.client import Client
from common.protocol.clock import utc
from processor import metrics
from processor.duplicates import Receipt
from processor.uploads import Upload

# As PUBLISH has them (MQTT 5, 3.3.2.3): Content Type, then the identifier of Correlation Data.
_JSON = b"application/json"
_PROPERTIES = struct.pack("!BH", 3, len(_JSON)) + _JSON + b"\x09"
_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def receipt(errand: Upload) -> Receipt:
    """Of a face that is stored, or rejected with the verdict's reason."""
    verdict = errand.verdict
    return {
        "id": verdict.facts["id"],
        "sha256": verdict.sha256,
        "outcome": "stored" if verdict.reason is None else "rejected",
        "key": errand.object.key,
        "reason": verdict.reason,
    }


class Receipts:
    """Publishes at QoS 0: what gets lost is asked for by the next copy."""

    def __init__(self, link: Client, root: str) -> None:
        self._link = link
        self._root = root
        self._stored = metrics.RECEIPTS.labels("stored")
        self._rejected = metrics.RECEIPTS.labels("rejected")

    def announce(self, errand: Upload) -> None:
        """Tell of an object that was stored."""
        stored = {
            "key": errand.object.key,
            **errand.verdict.facts,
            "sha256": errand.verdict.sha256,
            "bytes": len(errand.object.body),
            "stored": utc(time.time()),
        }
        self._link.publish(f"{self._root}/stored", _json(stored).encode(), qos=0)

    def answer(self, errand: Upload, answer: Receipt) -> Receipt:
        """Send the receipt if it was asked for, and to none but the face's own device."""
        topic, correlation = errand.arrival.response_topic, errand.arrival.correlation
        if topic is None or correlation is None:
            return answer
        if topic != f"{self._root}/receipts/{errand.verdict.facts['device']}":
            metrics.RECEIPTS_REFUSED.inc()
            return answer
        properties = _PROPERTIES + struct.pack("!H", len(correlation)) + correlation
        if self._link.publish(topic, _json(answer).encode(), qos=0, properties=properties):
            (self._stored if answer["reason"] is None else self._rejected).inc()
        return answer
