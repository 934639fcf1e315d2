"""A guest of the edge broker, such as Home Assistant, can harm neither detector nor forwarder."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.mqtt.client import Login, Mqtt
from testing.mqtt.edge import EdgeBroker

pytestmark = pytest.mark.attack

PASSWORDS = {user: f"secret-{user}" for user in ("detector", "forwarder", "homeassistant")}


def login(user: str) -> Login:
    return {"username": user, "password": PASSWORDS[user]}


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeBroker]:
    file = tmp_path / "edge.passwords"
    file.touch(mode=0o600)
    for user, password in PASSWORDS.items():
        subprocess.run(["mosquitto_passwd", "-b", file, user, password], check=True)
    with EdgeBroker(tmp_path, guest=True) as broker:
        yield broker


def test_a_crowd_at_its_listener_keeps_nobody_else_out(edge: EdgeBroker) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(150):
            crowd.enter_context(socket.create_connection(("localhost", edge.guest_port)))
        until(lambda: "max_connections exceeded" in edge.log)
        with (
            Mqtt(edge.port, "faces", **login("forwarder")) as forwarder,
            Mqtt(edge.port, **login("detector")) as detector,
        ):
            detector.publish("faces", b"face")
            until(lambda: forwarder.messages)


def test_with_the_forwarders_client_id_it_throws_nobody_off(edge: EdgeBroker) -> None:
    with Mqtt(edge.port, "faces", client_id="forwarder-x", **login("forwarder")) as forwarder:
        with Mqtt(edge.guest_port, client_id="forwarder-x", **login("homeassistant")) as guest:
            guest.publish("homeassistant/status", b"online")
            with Mqtt(edge.port, **login("detector")) as detector:
                detector.publish("faces", b"face")
                until(lambda: forwarder.messages)
        assert "as homeassistant (" in edge.log
        assert "already connected" not in edge.log


def test_it_may_send_few_properties(edge: EdgeBroker) -> None:
    many = [("", "")] * 65
    with (
        Mqtt(edge.port, "homeassistant/status", **login("detector")) as detector,
        Mqtt(edge.guest_port, **login("homeassistant")) as guest,
    ):
        guest.publish("homeassistant/status", b"refused", user=many)
        guest.publish("homeassistant/status", b"online", user=many[:10])
        until(lambda: detector.messages)
    assert [message.payload for message in detector.messages] == [b"online"]
