"""Several cameras of one detector, as Home Assistant has them: a device each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.homeassistant import BIRTH, HomeAssistant
from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import Tables, serve_cameras
from testing.services.process import Service

NAMES = ("door", "yard")


@pytest.fixture
def homes(edge: Mosquitto) -> Iterator[list[HomeAssistant]]:
    """Two views of the same Home Assistant, one of each camera."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(HomeAssistant(edge.port, device=f"facepipe_box-1_{name}"))
            for name in NAMES
        ]


@pytest.fixture
def service(edge: Mosquitto, tmp_path: Path, homes: list[HomeAssistant]) -> Iterator[Service]:
    del homes  # they are there before
    tables: Tables = {
        name: {"source": clips.write(tmp_path / f"{name}.mp4", clips.faces(count))}
        for name, count in zip(NAMES, (12, 8), strict=True)
    }
    settings = {"HOMEASSISTANT": 1, "CAMERA_END": "idle"}
    with serve_cameras(edge, tmp_path, tables, **settings) as started:
        yield started


def test_each_camera_is_a_device_with_figures_and_a_face_of_its_own(
    service: Service, homes: list[HomeAssistant]
) -> None:
    service.says("end of file(.|\n)*end of file")
    for home, name, count in zip(homes, NAMES, (12, 8), strict=True):
        assert home.config()["device"]["name"] == f"box-1 {name}"
        until(lambda home=home, count=count: home.state("captured") == str(count), 30)  # type: ignore[misc]
        assert home.state("connected") == "ON"
        until(lambda home=home: any(len(m.payload) > 1000 for m in home.images()))  # type: ignore[misc]


def test_all_of_them_announce_when_home_assistant_has_started(
    service: Service, homes: list[HomeAssistant]
) -> None:
    service.says("end of file(.|\n)*end of file")
    until(lambda: all(home.configs() for home in homes))
    before = [len(home.configs()) for home in homes]
    homes[0].publish(BIRTH, b"online")
    until(lambda: all(len(home.configs()) > b for home, b in zip(homes, before, strict=True)))


def test_all_of_them_are_unavailable_once_the_detector_is_dead(
    service: Service, homes: list[HomeAssistant]
) -> None:
    until(lambda: all(home.configs() for home in homes))
    until(lambda: all(home.available("face") for home in homes))
    service.kill()
    until(lambda: not any(home.available("face") for home in homes))
