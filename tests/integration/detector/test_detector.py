"""The detector as a service: its settings, `DELIVERY=once`, its status and its end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detector.detection.model_files import CASCADES
from testing.clips import clips
from testing.host.wait import free_port, until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.network.mjpeg import Mjpeg
from testing.services.detector import balance, books, detector, facts, is_cut_from, play
from testing.services.process import Service

STATUS = "faces/status/box-1/detector/camera-0"
DROPPED = "facepipe_detector_faces_dropped_total"
NOWHERE = free_port()  # no broker is there


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """One frame that shows one face."""
    path = tmp_path / "face.png"
    assert cv2.imwrite(str(path), clips.faces(1)[0])
    return path


def memory(service: Service) -> int:
    """Bytes of resident memory."""
    return int(Path(f"/proc/{service.pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"CASCADE": "haarcascade_nose"}, "CASCADE must be an XML file, or one of OpenCV's: haar"),
        ({"CASCADE": "/etc/passwd"}, "CASCADE is not a cascade that OpenCV can read: /etc/passwd"),
        ({"CASCADE": "pyproject.toml"}, "CASCADE is not a cascade that OpenCV can read"),
        ({"MASK": "0,0,1"}, "MASK must be x,y,w,h"),
        ({"MASK": "0,0,1,7"}, "MASK must have x and y from 0 to 1"),
        ({"ROTATE": "45"}, "ROTATE must be one of 0, 90, 180, 270"),
        ({"CAMERA_SIZE": "big"}, "CAMERA_SIZE must be WIDTHxHEIGHT"),
        ({"MIN_FACE": "7"}, "MIN_FACE must be a number from 0.01 to 1"),
        ({"CAPTURE": "some"}, "CAPTURE must be one of"),
        ({"DELIVERY": "twice"}, "DELIVERY must be one of once, receipt"),
        ({"CAMERA_NAME": "../x"}, "CAMERA_NAME must be 1 to 63 characters of a-z"),
    ],
)
def test_a_bad_setting_ends_with_2_and_is_named(
    still: Path, env: dict[str, object], words: str
) -> None:
    with detector(NOWHERE, still, **env) as service:
        assert service.wait(20) == 2
        assert f"detector: {words}" in service.log
        assert "Traceback" not in service.log


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    env = {"MARGIN": "wide", "OUTBOX_MAX_MB": 0, "CASCADE": "x", "MQTT_CA": "/nowhere.pem"}
    with detector(NOWHERE, tmp_path / "gone.mp4", **env) as service:
        assert service.wait(20) == 2
        said = re.findall(r"^detector: (\w+)", service.log, re.MULTILINE)
        assert {*said} >= {"MARGIN", "OUTBOX_MAX_MB", "CASCADE", "MQTT_CA", "CAMERA"}


@pytest.mark.parametrize(
    "cascade",
    [
        "haarcascade_frontalface_default",
        "haarcascade_frontalface_default.xml",
        str(CASCADES / "haarcascade_frontalface_default.xml"),
    ],
)
def test_a_cascade_is_a_name_or_a_file(edge: Mosquitto, still: Path, cascade: str) -> None:
    assert len(play(edge, still, CASCADE=cascade)[0]) >= 1


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_camera_is_turned_back(edge: Mosquitto, tmp_path: Path, degrees: int) -> None:
    upright = clips.faces(1)[0]
    turned = np.rot90(upright, degrees // 90)  # counter-clockwise
    assert cv2.imwrite(str(tmp_path / "turned.png"), turned)
    messages, _ = play(edge, tmp_path / "turned.png", ROTATE=degrees)
    assert len(messages) == 1
    assert facts(messages[0])["frame"] == "640x360"
    assert is_cut_from(messages[0], upright)


def test_a_masked_region_is_neither_searched_nor_sent(edge: Mosquitto, still: Path) -> None:
    frame = clips.faces(1)[0]
    x, y, w, h = map(int, facts(play(edge, still)[0][0])["face"].split(","))
    beside = f"0,0,{(x - 2) / 640},1"  # what is left of the face: in its margin, too
    messages, _ = play(edge, still, MASK=beside)
    assert len(messages) == 1
    frame[:, : x - 2] = 0
    assert is_cut_from(messages[0], frame)
    assert not clips.decode(messages[0].payload)[:, :1].any()
    on_it = f"{x / 640},{y / 360},{w / 640},{h / 360}"
    assert play(edge, still, MASK=f"{on_it};0,0,0.01,0.01")[0] == []


def test_faces_smaller_than_asked_for_are_not_found(edge: Mosquitto, still: Path) -> None:
    assert play(edge, still, MIN_FACE=0.5)[0] == []


def test_a_large_face_is_scaled_below_the_limit_and_says_so(edge: Mosquitto, still: Path) -> None:
    messages, _ = play(edge, still, FACE_MAX_KB=10)
    assert len(messages) == 1
    known = facts(messages[0])
    assert len(messages[0].payload) <= 10_000
    scale = float(known["scale"])
    assert 0.2 < scale < 1
    _, _, w, h = map(int, known["box"].split(","))
    height, width = clips.decode(messages[0].payload).shape[:2]
    assert (width, height) == pytest.approx((w * scale, h * scale), abs=1)


def test_once_forgets_what_is_published(edge: Mosquitto, tmp_path: Path) -> None:
    path = clips.write(tmp_path / "face.mp4", clips.faces(6))
    with detector(edge, path, CAMERA_END="idle") as service:
        service.says("6 captured, 6 sent, 0 rejected, 0 dropped, 0 waiting")
        told = books(service)
        assert told["sent"] == 6
        assert balance(told)


def test_once_without_a_broker_is_bounded_in_bytes_drops_the_oldest_and_counts_them(
    tmp_path: Path,
) -> None:
    env = {"CAMERA_LOOP": 1, "CAMERA_FPS": 100, "DETECT_WIDTH": 320, "OUTBOX_MAX_MB": 1}
    broker = Mosquitto(tmp_path)
    path = clips.write(tmp_path / "face.avi", clips.faces(40), "MJPG")
    with detector(broker, path, **env) as service:
        until(lambda: service.metric(DROPPED, reason="full") > 10, 30)
        before = memory(service)
        until(lambda: service.metric(DROPPED, reason="full") > 150, 60)
        assert memory(service) < before + 8 * 1024 * 1024
        told = books(service)
        assert balance(told)
        assert told["waiting"] * 10_000 < 1024 * 1024
        assert told["sent"] == 0
        assert service.health()["reasons"] == {"edge_broker": "absent"}
        with broker:
            with Mqtt(broker.port, "faces") as mqtt:
                until(lambda: len(mqtt.messages) > 10)
            ids = [facts(message)["id"] for message in mqtt.messages]
            assert ids == sorted(ids)
            assert service.stop() == 0


def test_a_file_waits_for_room_and_loses_nothing_while_the_broker_is_away(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    path = clips.write(tmp_path / "face.avi", clips.faces(40), "MJPG")
    with detector(broker, path, OUTBOX_MAX_MB=1) as service:
        until(lambda: books(service)["waiting"] > 15)
        with broker, Mqtt(broker.port, "faces") as mqtt:
            assert service.wait(30) == 0
            service.says("40 captured, 40 sent, 0 rejected, 0 dropped, 0 waiting")
            until(lambda: len(mqtt.messages) > 20)


def test_status_is_retained_has_a_last_will_and_is_cleared_by_a_clean_exit(
    edge: Mosquitto, still: Path
) -> None:
    def told(mqtt: Mqtt) -> dict[str, Any]:
        until(lambda: mqtt.messages)
        status: dict[str, Any] = json.loads(mqtt.messages[-1].payload or b"{}")
        return status

    with detector(edge, still, CAMERA_END="idle") as service:
        service.says("1 captured.* 0 waiting")
        with Mqtt(edge.port, STATUS) as mqtt:
            status = told(mqtt)
            assert mqtt.messages[0].retain
            assert (status["state"], status["period"]) == ("online", 10)
            assert status["frames"] in (0, 1)
            assert status["frames_skipped"] == 0
            assert "certificate_days" not in status
            service.kill()
            until(lambda: told(mqtt)["state"] == "offline")
    with detector(edge, still, CAMERA_END="idle") as service, Mqtt(edge.port, STATUS) as mqtt:
        until(lambda: told(mqtt).get("state") == "online")
        assert service.stop() == 0
        until(lambda: told(mqtt) == {})
    with Mqtt(edge.port, STATUS, "faces/end") as late:
        late.publish("faces/end", b"x")
        until(lambda: late.on("faces/end"))
        assert not late.on(STATUS)


# SIGTERM, in each state in which it may come: exit 0 within 8 s.


@pytest.fixture
def stream() -> Iterator[Mjpeg]:
    with Mjpeg(clips.faces(10)) as server:
        yield server


def test_sigterm_while_idle(edge: Mosquitto, still: Path) -> None:
    with detector(edge, still, CAMERA_END="idle") as service:
        service.says("1 captured.* 0 waiting")
        assert service.stop() == 0


def test_sigterm_with_faces_to_forget_and_no_broker(still: Path) -> None:
    with detector(NOWHERE, still) as service:
        until(lambda: books(service)["waiting"] == 1)
        assert service.stop() == 0
        assert "1 dropped" in service.log


def test_sigterm_leaves_what_has_no_receipt_to_the_next_run(
    edge: Mosquitto, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "face.avi", clips.faces(12), "MJPG")
    env = {"DELIVERY": "receipt", "OUTBOX_WINDOW": 2, "OUTBOX_PATH": tmp_path / "outbox"}
    with detector(edge, path, **env) as service:
        until(lambda: books(service)["captured"] == 12)
        assert service.stop() == 0
        assert "0 dropped, 12 waiting" in service.log
    with detector(edge, path, **env) as service:
        service.says("12 faces from earlier runs are waiting")
        until(lambda: books(service)["waiting"] == books(service)["captured"] == 24)


def test_sigterm_while_the_camera_hangs(edge: Mosquitto, stream: Mjpeg) -> None:
    with detector(edge, stream.url, CAMERA_TIMEOUT=300) as service:
        service.says("delivers frames")
        stream.mode = "stall"
        sent = stream.sent
        until(lambda: books(service)["captured"] > 0 and stream.sent == sent)
        assert service.stop() == 0


def test_sigterm_while_the_camera_has_not_given_its_first_frame(
    edge: Mosquitto, stream: Mjpeg
) -> None:
    stream.mode = "stall"
    with detector(edge, stream.url) as service:
        until(lambda: stream.connections)
        assert service.stop() == 0


def test_sigterm_while_a_file_hangs_before_its_first_frame(edge: Mosquitto, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with detector(edge, pipe) as service:
        service.says("health and metrics on")
        assert service.stop() == 0


def test_sigterm_between_two_tries_of_a_camera_that_is_not_there(edge: Mosquitto) -> None:
    with detector(edge, "/dev/video97") as service:
        service.says(r"\(absent\)")
        assert service.stop() == 0
