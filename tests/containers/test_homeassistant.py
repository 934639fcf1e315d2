"""docker-compose.homeassistant.yml: the edge broker with one more user, and a port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.clips.clips import decode
from testing.host.wait import free_port, until
from testing.mqtt.homeassistant import HomeAssistant
from testing.services.process import ROOT
from tests.containers.compose import Project

FILE = ROOT / "docker-compose.homeassistant.yml"
PASSWORD = ("cat", "/secrets/homeassistant/password")

pytestmark = pytest.mark.usefixtures("images")


class Shown(Project):
    """Broker and detector of a Jetson, shown to Home Assistant at a port of this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            "jetson",
            folder,
            {"services": {}},
            DEVICE="jetson-1",
            CLOUD_HOST="192.0.2.1",
            CLOUD_BUNDLE=str(folder / "none.pem"),
            CAMERA="/media/clip.mp4",
            CAMERA_LOOP="1",
            MEDIA_DIR=str(ROOT / "demo"),
            HOMEASSISTANT_BIND="127.0.0.1",
            HOMEASSISTANT_PORT=str(free_port()),
        )
        self.name = "facepipe-test-homeassistant"

    def command(self) -> list[str]:
        return [*super().command(), "--file", str(FILE)]


@pytest.fixture
def jetson(tmp_path: Path) -> Iterator[Shown]:
    project = Shown(tmp_path)
    try:
        project.up("broker", "detector")
        yield project
    finally:
        print(project("logs", "--no-color", code=None))
        project.down()


def test_with_the_password_that_the_broker_made_it_sees_faces_until_that_is_turned_off(
    jetson: Shown,
) -> None:
    password = jetson.one("broker").exec(*PASSWORD).strip()
    assert len(password) >= 32
    port = int(jetson.env["HOMEASSISTANT_PORT"])
    with HomeAssistant(port, "homeassistant", password) as home:
        until(lambda: home.images() and min(decode(home.images()[-1].payload).shape[:2]) > 20, 60)
        until(lambda: home.available("face") and home.state("captured") != "0", 60)
        assert home.component("delivered")["name"] == "Stored"
        assert not [message for message in home.messages if message.topic == "faces"]
        jetson.env["HOMEASSISTANT"] = "0"
        jetson.up("--no-deps", "detector")
        until(lambda: not home.configs()[-1].payload, 60)
    jetson.up("--force-recreate", "--no-deps", "broker")
    assert jetson.one("broker").exec(*PASSWORD).strip() == password
