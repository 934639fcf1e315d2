"""A processor that answers faces as a test says, and the detector that waits for its receipts."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import Received
from testing.services.detector import detector, facts
from testing.services.process import Service

STATUS = "faces/status/box-1/detector/camera-0"
Answers = Callable[[Received, int], list[dict[str, Any]]]


def stored(message: Received, **other: Any) -> dict[str, Any]:
    digest = hashlib.sha256(message.payload).hexdigest()
    answer = {"id": facts(message)["id"], "sha256": digest, "outcome": "stored"}
    return answer | {"key": "k", "reason": None} | other


class Processor(Mqtt):
    """Answers each face as `answers(message, how often it came)` says."""

    def __init__(self, port: int, answers: Answers) -> None:
        self.answers = answers
        self.copies: dict[str, list[bytes]] = {}
        self.at: dict[str, list[float]] = {}
        self.most_unanswered = 0
        self._unanswered: set[str] = set()
        self._lock = threading.Lock()
        super().__init__(port, "faces", STATUS)

    def take(self, message: Received) -> None:
        super().take(message)
        if message.topic != "faces":
            return
        with self._lock:
            id = facts(message)["id"]
            assert message.properties["CorrelationData"] == id.encode()
            self.copies.setdefault(id, []).append(message.payload)
            self.at.setdefault(id, []).append(time.monotonic())
            self._unanswered.add(id)
            self.most_unanswered = max(self.most_unanswered, len(self._unanswered))
            for answer in self.answers(message, len(self.copies[id])):
                self.answer(message, answer)

    def answer(self, message: Received, answer: dict[str, Any]) -> None:
        self._unanswered.discard(answer["id"])
        self._client.publish(message.properties["ResponseTopic"], json.dumps(answer))

    def answer_the_rest(self) -> None:
        with self._lock:
            self.answers = lambda message, _: [stored(message)]
            for message in self.on("faces"):
                if facts(message)["id"] in self._unanswered:
                    self.answer(message, stored(message))


def answering(port: int) -> Processor:
    """A processor that stores every face at once."""
    return Processor(port, lambda message, _: [stored(message)])


def start(edge: Mosquitto, clip: object, **env: object) -> Service:
    return detector(edge, clip, DELIVERY="receipt", CAMERA_END="idle", **env)
