"""`HOMEASSISTANT=1`: what a Home Assistant at the edge broker sees, and what nobody else does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.homeassistant import BIRTH, HomeAssistant
from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import balance, books, detector
from testing.services.process import ROOT, Service
from testing.services.receipts import stored

CONFIG = "homeassistant/device/facepipe_box-1_camera-0/config"
FACE = "homeassistant/facepipe/box-1/camera-0/face"
STATUS = "faces/status/box-1/detector/camera-0"
COUNTERS = ("captured", "delivered", "waiting", "rejected", "dropped", "frames")


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """One frame that shows one face."""
    path = tmp_path / "face.png"
    assert cv2.imwrite(str(path), clips.faces(1)[0])
    return path


def shown(broker: Mosquitto, camera: object, **env: object) -> Service:
    return detector(broker, camera, **{"HOMEASSISTANT": 1, "CAMERA_END": "idle", **env})


def retained(broker: Mosquitto, topic: str) -> bytes | None:
    """What someone who comes now is given at once."""
    with Mqtt(broker.port, topic, "marker") as reader:
        reader.publish("marker", b"x")
        until(lambda: reader.on("marker"))
        found = [message.payload for message in reader.on(topic) if message.retain]
    return found[0] if found else None


def is_a_face(payload: bytes) -> bool:
    height, width = clips.decode(payload).shape[:2]
    return bool(min(height, width) > 20)


def test_it_is_one_device_described_as_home_assistant_documents_it(
    edge: Mosquitto, still: Path
) -> None:
    with shown(edge, still), HomeAssistant(edge.port) as home:
        config = home.config()  # checked
        assert home.configs()[0].topic == CONFIG
        assert config["device"]["name"] == "box-1 camera-0"
        assert {*config["components"]} >= {"face", "last_face", "problem", "connected", *COUNTERS}
        until(lambda: retained(edge, CONFIG))


def test_the_figures_are_those_of_the_status_of_a_detector_at_work(edge: Mosquitto) -> None:
    with HomeAssistant(edge.port) as home, shown(edge, clips.CLIP) as service:
        until(lambda: home.state("connected") == "ON")
        ended = service.says(r"end of file: every face is accounted for: (\d+) captured")
        until(lambda: home.state("captured") == ended[1], 30)
        told = books(service)
        assert balance(told)
        for name in COUNTERS[:-1]:
            assert float(home.state(name)) == told["sent" if name == "delivered" else name], name
        assert int(home.state("frames")) > 100
        assert home.component("delivered")["name"] == "Sent"
        assert datetime.fromisoformat(home.state("last_face")).tzinfo
        assert home.state("problem") == "OFF"
        assert home.attributes("problem") == {}


def test_a_camera_that_gives_no_frames_is_a_problem_with_its_reason(edge: Mosquitto) -> None:
    with HomeAssistant(edge.port) as home, shown(edge, "/dev/video97"):
        until(lambda: home.state("problem") == "ON")
        until(lambda: home.attributes("problem") == {"camera": "absent"}, 30)
        assert home.state("last_face") == "unknown"
        assert home.state("captured") == "0"


def test_with_receipts_it_shows_what_is_stored(edge: Mosquitto, still: Path) -> None:
    with (
        HomeAssistant(edge.port) as home,
        Mqtt(edge.port, "faces") as processor,
        shown(edge, still, DELIVERY="receipt") as service,
    ):
        until(lambda: processor.messages)
        face = processor.messages[0]
        processor.publish("faces/receipts/box-1", json.dumps(stored(face)).encode())
        until(lambda: books(service)["confirmed"] == 1)
        assert home.component("delivered")["name"] == "Stored"
        until(lambda: home.state("delivered") == "1", 30)


def test_the_last_face_is_there_with_an_expiry_and_as_it_was_sent(
    edge: Mosquitto, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "face.avi", clips.faces(12), "MJPG")
    with (
        HomeAssistant(edge.port) as home,
        Mqtt(edge.port, "faces") as faces,
        shown(edge, path) as service,
    ):
        service.says("12 captured, 12 sent")
        until(lambda: len(faces.messages) == 12)
        until(lambda: home.images() and home.images()[-1].payload == faces.messages[-1].payload)
        image = home.images()[-1]
        assert image.retain
        assert image.properties["ContentType"] == home.component("face")["content_type"]
        assert 0 < image.properties["MessageExpiryInterval"] <= 300
        assert image.user == ()
        assert retained(edge, FACE) == faces.messages[-1].payload
        assert retained(edge, "faces") is None


def test_a_face_is_taken_away_from_home_assistant_too_when_its_time_is_over(
    edge: Mosquitto, still: Path
) -> None:
    with HomeAssistant(edge.port) as home, shown(edge, still, HOMEASSISTANT_KEEP_SECONDS=1):
        until(lambda: any(is_a_face(image.payload) for image in home.images()))
        until(lambda: not is_a_face(home.images()[-1].payload))
        assert not is_a_face(until(lambda: retained(edge, FACE)))


def test_the_broker_forgets_the_face_of_a_detector_that_is_dead(
    edge: Mosquitto, still: Path
) -> None:
    env = {"HOMEASSISTANT_KEEP_SECONDS": 8}
    with HomeAssistant(edge.port) as home, shown(edge, still, **env) as service:
        until(lambda: home.images() and is_a_face(home.images()[-1].payload))
        service.kill()
        until(lambda: not home.available("face"))
        until(lambda: retained(edge, FACE) is None, 30)


def test_what_an_earlier_run_showed_is_not_shown_as_the_last_face(
    edge: Mosquitto, still: Path
) -> None:
    with HomeAssistant(edge.port) as home:
        with shown(edge, still) as service:
            until(lambda: home.images() and is_a_face(home.images()[-1].payload))
            service.kill()
        with shown(edge, "/dev/video97"):
            until(lambda: not is_a_face(home.images()[-1].payload))


def test_all_is_told_again_when_home_assistant_or_the_broker_starts_anew(
    edge: Mosquitto, still: Path
) -> None:
    with shown(edge, still):
        with HomeAssistant(edge.port) as home:
            config = home.config()
            told = len(home.configs())
            home.publish(BIRTH, b"offline")
            home.publish(BIRTH, b"online")
            until(lambda: len(home.configs()) == told + 1)
            assert home.config() == config
        edge.kill()
        edge.start()
        with HomeAssistant(edge.port) as home:
            assert home.config() == config
            until(lambda: home.available("face"))


def test_killed_it_is_unavailable_and_stopped_no_face_stays(edge: Mosquitto, still: Path) -> None:
    with HomeAssistant(edge.port) as home:
        with shown(edge, still) as service:
            until(lambda: home.available("face"))
            service.kill()
            until(lambda: home.state("connected") == "OFF")
            assert home.state("captured") == "unavailable"
        with shown(edge, still) as service:
            until(lambda: home.available("face"))
            until(lambda: is_a_face(home.images()[-1].payload))
            assert service.stop() == 0
            until(lambda: home.state("connected") == "OFF")
            assert not home.available("face")
            assert home.attributes("problem") == {}
    assert retained(edge, FACE) is None
    assert retained(edge, CONFIG)  # else its names and rooms in Home Assistant would be lost


def test_turned_off_again_it_takes_back_what_it_has_told_once(
    edge: Mosquitto, still: Path, tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox"
    with shown(edge, still, OUTBOX_PATH=outbox) as service:
        until(lambda: retained(edge, FACE))
        service.kill()
    with Mqtt(edge.port, "homeassistant/#") as home:
        until(lambda: home.on(CONFIG))
        with shown(edge, still, OUTBOX_PATH=outbox, HOMEASSISTANT=0) as service:
            service.says("deleted the messages that an earlier run published for Home Assistant")
        until(lambda: not home.on(CONFIG)[-1].payload)
        until(lambda: not home.on(FACE)[-1].payload)
        said = len(home.messages)
        with shown(edge, still, OUTBOX_PATH=outbox, HOMEASSISTANT=0) as service:
            service.says("1 captured, 1 sent")
            assert service.stop() == 0
        home.publish("homeassistant/end", b"x")
        until(lambda: home.on("homeassistant/end"))
        assert len(home.messages) == said + 1


def test_under_another_prefix_it_leaves_nothing_under_the_old_one(
    edge: Mosquitto, still: Path, tmp_path: Path
) -> None:
    outbox = tmp_path / "outbox"
    with shown(edge, still, OUTBOX_PATH=outbox) as service:
        until(lambda: retained(edge, CONFIG))
        assert service.stop() == 0
    with shown(edge, still, OUTBOX_PATH=outbox, HOMEASSISTANT_PREFIX="ha"):
        until(lambda: retained(edge, CONFIG.replace("homeassistant", "ha", 1)))
        until(lambda: retained(edge, CONFIG) is None)


def test_off_nothing_is_published_subscribed_or_kept(
    edge: Mosquitto, still: Path, tmp_path: Path
) -> None:
    with Mqtt(edge.port, "#") as watcher:
        with detector(edge, still, CAMERA_END="idle", OUTBOX_PATH=tmp_path / "outbox") as service:
            service.says("1 captured, 1 sent")
            until(lambda: watcher.on(STATUS))
            assert "last_face" not in json.loads(watcher.on(STATUS)[0].payload)
            assert service.stop() == 0
        until(lambda: not watcher.on(STATUS)[-1].payload)
        assert {message.topic for message in watcher.messages} == {"faces", STATUS}
    assert BIRTH not in edge.log
    assert not (tmp_path / "outbox").exists()


def test_it_cannot_be_put_where_the_forwarder_would_relay_it(edge: Mosquitto, still: Path) -> None:
    for prefix, topic in (("faces/status/box-1", "faces"), ("a/b", "a/b"), ("a", "a/b")):
        env = {"HOMEASSISTANT_PREFIX": prefix, "MQTT_TOPIC": topic}
        with shown(edge, still, **env) as service:
            assert service.wait(20) == 2
            assert "HOMEASSISTANT_PREFIX and MQTT_TOPIC must not contain" in service.log


def test_nothing_of_it_reaches_the_cloud(
    edge: Mosquitto, cloud: Mosquitto, forwarder: Service, still: Path
) -> None:
    with (
        Mqtt(cloud.port, "#") as cloudy,
        HomeAssistant(edge.port) as home,
        shown(edge, still),
    ):
        until(lambda: home.images() and is_a_face(home.images()[-1].payload))
        # Behind all of that, on the same way.
        home.publish("homeassistant/facepipe/box-1/camera-0/face", b"face", retain=True)
        home.publish("faces", b"last")
        until(lambda: any(message.payload == b"last" for message in cloudy.on("faces")))
        topics = {message.topic for message in cloudy.messages}
        assert {topic.split("/")[0] for topic in topics} == {"faces"}
        assert not any(message.retain for message in cloudy.on("faces"))


# The edge broker as it comes: its own access list, and users with passwords.


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """The passwords are the users' names."""
    users = ("detector", "forwarder", "homeassistant")
    passwords = tmp_path / "passwords"
    passwords.write_text("".join(f"{user}:{user}\n" for user in users))
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True)
    extra = f"password_file {passwords}\nacl_file {ROOT / 'broker' / 'edge.acl'}"
    with Mosquitto(tmp_path, extra, anonymous=False) as broker:
        yield broker


LOGIN: dict[str, Any] = {"MQTT_USERNAME": "detector", "MQTT_PASSWORD": "detector"}


def test_home_assistant_as_a_user_of_the_edge_broker_sees_its_own_and_changes_nothing(
    guarded: Mosquitto, still: Path
) -> None:
    user = ("homeassistant", "homeassistant")
    everything = Mqtt(guarded.port, "#", username=user[0], password=user[1])
    inner = Mqtt(guarded.port, "faces", username="forwarder", password="forwarder")
    with (
        HomeAssistant(guarded.port, *user) as home,
        everything as curious,
        inner as forwarder,
        shown(guarded, still, **LOGIN) as service,
    ):
        until(lambda: home.available("face"))
        until(lambda: is_a_face(home.images()[-1].payload))
        for topic in (CONFIG, FACE, STATUS, "faces", "faces/receipts/box-1"):
            curious.publish(topic, b"forged", retain=True)
        told = len(home.configs())
        curious.publish(BIRTH, b"online")  # behind them
        until(lambda: len(home.configs()) == told + 1)
        topics = {message.topic for message in curious.messages}
        assert topics == {CONFIG, FACE, STATUS, BIRTH}
        assert all(message.payload != b"forged" for message in home.messages)
        assert all(message.payload != b"forged" for message in forwarder.messages)
        assert service.stop() == 0


def test_the_bridge_that_the_manual_shows_brings_it_to_ones_own_broker_with_its_expiry(
    guarded: Mosquitto, still: Path, tmp_path: Path
) -> None:
    manual = (ROOT / "docs" / "homeassistant.md").read_text()
    shown_there = re.search(r"^connection facepipe\n.*?(?=^```)", manual, re.MULTILINE | re.DOTALL)
    assert shown_there
    lines = shown_there[0].replace("192.168.1.20:1883", f"127.0.0.1:{guarded.port}")
    lines = lines.replace("THE-PASSWORD", "homeassistant")
    with (
        Mosquitto(tmp_path / "own", lines) as own,
        HomeAssistant(own.port) as home,
        shown(guarded, still, **LOGIN) as service,
    ):
        until(lambda: home.images() and is_a_face(home.images()[-1].payload))
        assert 0 < home.images()[-1].properties["MessageExpiryInterval"] <= 300
        until(lambda: home.available("face"))
        told = len(home.configs())
        home.publish(BIRTH, b"online")
        until(lambda: len(home.configs()) == told + 1)
        until(lambda: retained(own, FACE))
        assert retained(own, CONFIG)
        assert service.stop() == 0
        until(lambda: retained(own, FACE) is None)
        assert {message.topic for message in home.messages} == {CONFIG, FACE, STATUS, BIRTH}
