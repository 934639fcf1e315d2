"""What the processor says: receipts to the senders, `faces/stored` to whoever wants to know."""

from __future__ import annotations

import json
import time
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.clock import utc
from common.link import Link
from processor import metrics
from processor.judge import Arrival, Verdict

Receipt = dict[str, str | None]


def receipt(verdict: Verdict, outcome: str, key: str) -> Receipt:
    """`outcome`: stored or rejected, and then with the verdict's reason."""
    return {
        "id": verdict.facts["id"],
        "sha256": verdict.sha256,
        "outcome": outcome,
        "key": key,
        "reason": verdict.reason,
    }


class Answers:
    """Publishes at QoS 0: what gets lost is asked for by the next copy."""

    def __init__(self, link: Link, root: str) -> None:
        self._link = link
        self._root = root

    def announce(self, key: str, verdict: Verdict, size: int) -> None:
        """Tell of an object that was stored."""
        stored = {
            "key": key,
            **verdict.facts,
            "sha256": verdict.sha256,
            "bytes": size,
            "stored": utc(time.time()),
        }
        self._link.publish(f"{self._root}/stored", _json(stored), qos=0)

    def answer(self, arrival: Arrival, verdict: Verdict, answer: Receipt) -> Receipt:
        """Send the receipt if it was asked for, and to none but the face's own device."""
        if arrival.response_topic is None or arrival.correlation is None:
            return answer
        if arrival.response_topic != f"{self._root}/receipts/{verdict.facts['device']}":
            metrics.RECEIPTS_REFUSED.inc()
            return answer
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = arrival.correlation
        properties.ContentType = "application/json"
        message = _json(answer)
        if self._link.publish(arrival.response_topic, message, qos=0, properties=properties):
            metrics.RECEIPTS.labels(answer["outcome"]).inc()
        return answer


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
