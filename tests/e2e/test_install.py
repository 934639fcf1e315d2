"""docs/install.md and the brokers' configurations do what they say."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.mqtt.client import Login, Mqtt
from testing.mqtt.edge import EdgeBroker
from testing.pictures import png
from testing.services.enrolment import CloudBroker
from testing.services.process import ROOT, Service
from testing.store.nanio import Store


def run_block(mark: str, folder: Path) -> None:
    """Run a marked block of the guide, with `folder` for /etc/facepipe."""
    guide = (ROOT / "docs" / "install.md").read_text()
    found = re.search(rf"<!-- {mark} -->\n```sh\n(.*?)```", guide, re.DOTALL)
    assert found, mark
    script = found[1].replace("/etc/facepipe", str(folder))
    script = script.replace(".venv/bin/python", sys.executable)
    subprocess.run(["bash", "-euc", script], cwd=ROOT, check=True, capture_output=True, timeout=30)


@dataclasses.dataclass
class Brokers:
    edge: EdgeBroker
    cloud: CloudBroker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "etc"
    made.mkdir()
    run_block("identities", made)
    run_block("passwords", made)
    return made


@pytest.fixture
def secured(folder: Path, store: Store) -> Iterator[Brokers]:
    """Both brokers, the forwarder and the processor, with all that the guide sets."""
    with EdgeBroker(folder) as edge, CloudBroker(folder) as cloud:
        processor = Service(
            "processor",
            MQTT_HOST="localhost",
            MQTT_PORT=cloud.inner_port,
            MQTT_BUNDLE=folder / "processor.pem",
            **store.settings,
        )
        forwarder = Service(
            "forwarder",
            SETTINGS_FILE=folder / "secrets" / "device.env",
            MQTT_PORT=edge.port,
            MQTT_USERNAME="forwarder",
            MQTT_PASSWORD_FILE=folder / "forwarder.password",
            CLOUD_HOST="localhost",
            CLOUD_PORT=cloud.port,
            CLOUD_BUNDLE=folder / "secrets" / "cloud-bundle.pem",
        )
        with processor, forwarder:
            processor.says("cloud broker .*: connected")
            forwarder.says("cloud broker .*: connected")
            forwarder.says("edge broker .*: connected")
            yield Brokers(edge, cloud)


def login(folder: Path, user: str) -> Login:
    return {"username": user, "password": (folder / f"{user}.password").read_text().strip()}


def test_a_face_of_the_edge_broker_is_stored_for_its_device_and_its_receipt_comes_back(
    folder: Path, secured: Brokers, store: Store
) -> None:
    with Mqtt(
        secured.edge.port, "faces/receipts/jetson-1", **login(folder, "detector")
    ) as detector:
        detector.publish(
            "faces",
            png(),
            user=[("id", "face-0001"), ("device", "jetson-1")],
            ResponseTopic="faces/receipts/jetson-1",
            CorrelationData=b"face-0001",
        )
        receipt = until(lambda: detector.messages)[0]
    assert b'"outcome":"stored"' in receipt.payload
    (key,) = store.objects()
    assert key.startswith("jetson-1/")


def test_a_device_that_speaks_for_another_has_its_face_rejected(
    folder: Path, secured: Brokers, store: Store
) -> None:
    with Mqtt(secured.edge.port, **login(folder, "detector")) as detector:
        detector.publish("faces", png(), user=[("device", "jetson-2")])
        until(lambda: store.objects("rejected/jetson-1/device_mismatch"))
    assert not store.objects()


def test_without_a_password_nobody_enters_the_edge_broker(secured: Brokers) -> None:
    command = ["mosquitto_pub", "-p", str(secured.edge.port), "-t", "faces", "-m", "x"]
    assert subprocess.run(command, check=False, capture_output=True, timeout=10).returncode != 0


def test_without_a_certificate_nobody_enters_the_cloud_broker(
    folder: Path, secured: Brokers
) -> None:
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(secured.cloud.port)]
    command += ["--cafile", str(folder / "ca.crt"), "-t", "faces", "-m", "x"]
    assert subprocess.run(command, check=False, capture_output=True, timeout=10).returncode != 0
