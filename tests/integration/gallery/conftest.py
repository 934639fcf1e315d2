"""A gallery over a real store, and an admin who has signed in to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import free_port
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import Admin, Gallery
from testing.store.nanio import Store


@pytest.fixture
def gallery(cloud: Mosquitto, store: Store, tmp_path: Path) -> Iterator[Gallery]:
    # A port that stays when it is started again.
    settings = {"MQTT_PORT": cloud.port, "HTTP_PORT": free_port(), "METRICS_PORT": free_port()}
    with Gallery(store, tmp_path / "gallery", **settings) as service:
        service.says("listed")
        service.says("cloud broker .*: connected")
        yield service


@pytest.fixture
def admin(gallery: Gallery) -> Admin:
    return gallery.admin()
