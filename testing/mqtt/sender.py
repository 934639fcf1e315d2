"""A device as the processor sees it: sends faces with their facts, and gathers its receipts."""

from __future__ import annotations

import itertools
import json
import secrets
from typing import Any

from testing.host.wait import until
from testing.mqtt.client import Mqtt

_SERIAL = itertools.count()


class Sender(Mqtt):
    """Of `device`, and sees what the processor says to all devices."""

    def __init__(self, port: int, device: str = "box-1") -> None:
        self.device = device
        self.port = port
        super().__init__(port, "faces/receipts/+", "faces/stored", "faces/status/#")

    def __enter__(self) -> Sender:
        return self

    def send(self, png: bytes, id: str = "", *, topic: str = "faces", **properties: Any) -> str:
        """Publish a face; its id. None for a property of `properties` leaves that one out."""
        id = id or f"{next(_SERIAL):08d}{secrets.token_hex(8)}"
        facts = {
            "id": id,
            "device": self.device,
            "camera": "cam-1",
            "captured": "2026-03-01T23:59:59.123456Z",
        }
        facts |= properties.pop("facts", {})
        made = {
            "ContentType": "image/png",
            "ResponseTopic": f"faces/receipts/{self.device}",
            "CorrelationData": id.encode(),
            **properties,
        }
        user = [(name, value) for name, value in facts.items() if value is not None]
        given = {name: value for name, value in made.items() if value is not None}
        self.publish(topic, png, user=user, **given)
        return id

    def receipts(self, id: str) -> list[dict[str, Any]]:
        """The receipts whose Correlation Data is this id, whoever they are addressed to."""
        return [
            json.loads(message.payload) | {"topic": message.topic}
            for message in list(self.messages)
            if message.topic.startswith("faces/receipts/")
            and getattr(message.properties, "CorrelationData", None) == id.encode()
        ]

    def receipt(self, id: str, seconds: float = 15.0) -> dict[str, Any]:
        """The first receipt of this face, as soon as it is there."""
        return until(lambda: self.receipts(id), seconds, f"a receipt for {id}")[0]
