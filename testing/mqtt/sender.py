"""A device as the processor sees it: sends faces with their facts, and gathers its receipts."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Mapping
from typing import Any, Unpack

from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.received import PublishProperties

_SERIAL = itertools.count()


class Sender(Mqtt):
    """Of `device`, and sees what the processor says to all devices."""

    def __init__(self, port: int, device: str = "box-1") -> None:
        self.device = device
        self.port = port
        super().__init__(port, "faces/receipts/+", "faces/stored", "faces/status/#")

    def send(
        self,
        png: bytes,
        id: str = "",
        *,
        topic: str = "faces",
        facts: Mapping[str, str | None] | None = None,
        **properties: Unpack[PublishProperties],
    ) -> str:
        """Publish a face; its id. None for one of `facts` leaves that fact out."""
        id = id or f"{next(_SERIAL):08d}{secrets.token_hex(8)}"
        known: dict[str, str | None] = {
            "id": id,
            "device": self.device,
            "camera": "cam-1",
            "captured": "2026-03-01T23:59:59.123456Z",
        }
        known |= facts or {}
        made: PublishProperties = {
            "ContentType": "image/png",
            "ResponseTopic": f"faces/receipts/{self.device}",
            "CorrelationData": id.encode(),
            **properties,
        }
        user = [(name, value) for name, value in known.items() if value is not None]
        self.publish(topic, png, user=user, **made)
        return id

    def receipts(self, id: str) -> list[dict[str, Any]]:
        """The receipts whose Correlation Data is this id, whoever they are addressed to."""
        return [
            json.loads(message.payload) | {"topic": message.topic}
            for message in list(self.messages)
            if message.topic.startswith("faces/receipts/")
            and message.properties.get("CorrelationData") == id.encode()
        ]

    def receipt(self, id: str, seconds: float = 15.0) -> dict[str, Any]:
        """The first receipt of this face, as soon as it is there."""
        return until(lambda: self.receipts(id), seconds, f"a receipt for {id}")[0]
