"""What the processor publishes: receipts to the senders, and announcements on `faces/stored`."""

from __future__ import annotations

import time
from typing import Literal

from common.mqtt import Client
from common.protocol.receipt import Receipt
from common.protocol.stored import Stored
from common.protocol.topics import Topics
from processor import metrics
from processor.uploads import Upload


def create_receipt(upload: Upload) -> Receipt:
    """The receipt of a face that is stored, or rejected with the verdict's reason."""
    verdict = upload.verdict
    outcome: Literal["stored", "rejected"] = "stored" if verdict.reason is None else "rejected"
    return Receipt(
        verdict.facts["id"],
        verdict.sha256,
        outcome,
        upload.object.key,
        verdict.reason,
        time.time(),
    )


class Receipts:
    """Publishes at QoS 0: if a receipt is lost, the next copy of the face asks for it again."""

    def __init__(self, client: Client, root: str) -> None:
        self._client = client
        self._topics = Topics(root)
        self._stored = metrics.RECEIPTS.labels("stored")
        self._rejected = metrics.RECEIPTS.labels("rejected")

    def announce(self, upload: Upload) -> None:
        """Announce a stored object."""
        key, size = upload.object.key, len(upload.object.body)
        stored = Stored(key, upload.verdict.sha256, size, time.time(), upload.verdict.facts)
        self._client.publish(self._topics.stored, stored.encode(), qos=0)

    def send(self, upload: Upload, receipt: Receipt) -> Receipt:
        """Send the receipt if the face asks for one, and to its own device only; returns it."""
        topic, correlation = upload.arrival.response_topic, upload.arrival.correlation
        if topic is None or correlation is None:
            return receipt
        if topic != self._topics.receipts(upload.verdict.facts["device"]):
            metrics.RECEIPTS_REFUSED.inc()
            return receipt
        properties = Receipt.encode_properties(correlation)
        if self._client.publish(topic, receipt.encode(), qos=0, properties=properties):
            (self._stored if receipt.outcome == "stored" else self._rejected).inc()
        return receipt
