"""A processor at work, alone with its broker and a store that fails to order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.services.process import Service
from testing.store.fake_s3 import FakeS3

RECEIVED = "facepipe_processor_faces_received_total"
IN_HAND = "facepipe_processor_faces_in_hand"
IN_HAND_BYTES = "facepipe_processor_bytes_in_hand"
DROPPED = "facepipe_processor_faces_dropped_total"
DUPLICATES = "facepipe_processor_faces_duplicate_total"
FAILURES = "facepipe_processor_put_failures_total"

Parts = tuple[FakeS3, Service, Sender]


@contextmanager
def storing(folder: Path, **settings: object) -> Iterator[Parts]:
    """The store, the processor once it takes faces, and a device that sends some."""
    with (
        Mosquitto(folder) as broker,
        FakeS3() as s3,
        Service("processor", MQTT_PORT=broker.port, **s3.settings, **settings) as service,
        Sender(broker.port) as sender,
    ):
        service.says("cloud broker .*: connected")
        yield s3, service, sender
