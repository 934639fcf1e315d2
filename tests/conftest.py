"""Fixtures: one of each counterpart, and the pipeline put together from them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from testing.mqtt.mosquitto import Mosquitto
from testing.pictures import png
from testing.services.process import Service
from testing.store.nanio import Store

# How long an example takes depends on the machine, and on what else it does.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")


DESCRIPTORS = 200


@pytest.fixture(autouse=True)
def _few_descriptors() -> None:
    """paho waits with select(), which knows no descriptor above 1,023: a client whose socket is
    beyond that hears nothing. What earlier tests left to the collector is closed before."""
    if len(os.listdir("/proc/self/fd")) > DESCRIPTORS:
        gc.collect()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as server:
        yield server


@pytest.fixture
def processor(cloud: Mosquitto, store: Store) -> Iterator[Service]:
    with Service("processor", MQTT_PORT=cloud.port, **store.settings) as service:
        service.says("cloud broker .*: connected")
        yield service


@pytest.fixture
def forwarder(edge: Mosquitto, cloud: Mosquitto) -> Iterator[Service]:
    settings = {"MQTT_PORT": edge.port, "CLOUD_HOST": "127.0.0.1", "CLOUD_PORT": cloud.port}
    with Service("forwarder", DEVICE="box-1", **settings) as service:
        service.says("cloud broker .*: connected")
        service.says("edge broker .*: connected")
        yield service


@pytest.fixture
def make_png() -> Callable[..., bytes]:
    return png
