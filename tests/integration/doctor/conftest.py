"""A server as it is set up, with an identity for the doctor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.services.enrolment import CloudBroker, Enrolment
from testing.services.process import Service
from testing.store.nanio import Store


@dataclasses.dataclass
class Server:
    """settings: the doctor's."""

    enrolment: Enrolment
    broker: CloudBroker
    store: Store
    settings: dict[str, Any]

    @property
    def processor(self) -> Service:
        """One that is yet to be started."""
        return Service(
            "processor",
            MQTT_HOST="localhost",
            MQTT_PORT=self.broker.inner_port,
            MQTT_BUNDLE=self.enrolment.processor / "processor.pem",
            **self.store.settings,
        )


@pytest.fixture
def enrolment(tmp_path: Path) -> Enrolment:
    settings = {"PUBLIC_HOST": "localhost", "DOCTOR_IDENTITY_DIR": tmp_path / "doctor"}
    made = Enrolment(tmp_path, **settings)
    made.enrol("jetson-1")
    return made


@pytest.fixture
def server(enrolment: Enrolment, store: Store, tmp_path: Path) -> Iterator[Server]:
    """Without a processor."""
    with CloudBroker(enrolment.broker) as broker:
        settings = {
            "MQTT_HOST": "localhost",
            "MQTT_PORT": broker.inner_port,
            "MQTT_BUNDLE": tmp_path / "doctor" / "doctor.pem",
            "PUBLIC_HOST": "localhost",
            "PUBLIC_PORT": broker.port,
            "RETENTION_HOURS": 24,
            **store.settings,
        }
        yield Server(enrolment, broker, store, settings)


@pytest.fixture
def processor(server: Server) -> Iterator[Service]:
    with server.processor as service:
        service.says("cloud broker .*: connected")
        yield service
