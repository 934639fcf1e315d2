"""The thief of a device sends without pause, and an honest device notices nothing of it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from processor.duplicates import REMEMBERED
from testing.host.memory import GIVEN_BACK, resident
from testing.host.wait import until
from testing.mqtt.flood import Flood, Honest, create_kinds
from testing.services.enrolment import Enrolment, FilteredBroker, Peer, context, refusal
from testing.services.gallery import Gallery
from testing.services.process import Process, Service
from testing.store.nanio import Store

pytestmark = [pytest.mark.attack, pytest.mark.timeout(300)]

FLOOD = 20.0  # seconds: two reports of the broker's, and more than its burst
RECEIPT = 15.0  # seconds within which each receipt has to come
REMEMBERED_BYTES = 1200 * REMEMBERED  # that the processor spends on the receipts it remembers
CONNECTIONS = "facepipe_mqtt_connections_total"
REFUSED = "facepipe_broker_device_messages_refused"


def has_shrunk(process: Process, most: float) -> bool:
    return resident(process.pid) < most


@pytest.mark.parametrize("kind", create_kinds("thief"))
def test_an_honest_device_has_its_receipts_while_another_one_floods(
    tmp_path: Path, store: Store, kind: str
) -> None:
    enrolment = Enrolment(tmp_path)
    thief, honest = enrolment.enrol("thief"), enrolment.enrol("jetson-2")
    with FilteredBroker(enrolment.broker) as cloud:
        enrolment.settings |= {"BROKER_HOST": "localhost", "BROKER_PORT": str(cloud.inner_port)}
        inner = {"MQTT_HOST": "localhost", "MQTT_PORT": cloud.inner_port}
        processing = {
            "MQTT_BUNDLE": enrolment.processor / "processor.pem",
            **GIVEN_BACK,
            **store.settings,
        }
        shown = {"MQTT_BUNDLE": enrolment.gallery / "gallery.pem"}
        with (
            Service("processor", **inner, **processing) as processor,
            Gallery(store, tmp_path / "data", **inner, **shown) as gallery,
            Peer(cloud.port, honest) as peer,
        ):
            services = (processor, gallery)
            for service in services:
                service.says("cloud broker .*: connected")
            device = Honest(peer, "jetson-2")
            device.send_until(time.monotonic() + 2)
            before = {one: resident(one.pid) for one in (cloud, processor)}
            with Flood(cloud.port, context(thief), create_kinds("thief")[kind]) as flood:
                device.send_until(time.monotonic() + FLOOD)
                assert max(device.waits()) < RECEIPT
                until(lambda: gallery.metric(REFUSED, device="thief"), 60, "the thief is named")
                start = time.monotonic()
                _, said = enrolment.run("revoke", "thief")
                assert time.monotonic() - start < RECEIPT
                assert "the broker closed the device's connection" in said
                until(lambda: flood.refused, what="the thief is not let in again")
            device.send_until(time.monotonic() + 2)
            assert max(device.waits()) < RECEIPT
            assert "CERTIFICATE_REVOKED" in refusal(cloud.port, thief)
            cloud.says(r"Client thief sends too much: \d+ messages refused")
            assert [one.metric(CONNECTIONS) for one in services] == [1, 1]
            room = {cloud: 0, processor: REMEMBERED_BYTES}
            for one, bytes_ in before.items():
                most = 1.2 * bytes_ + room[one]
                until(partial(has_shrunk, one, most), 60, f"{one.command} shrinks")
