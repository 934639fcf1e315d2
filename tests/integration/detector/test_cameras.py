"""Several cameras in one detector: each with its faces, its books, its outbox and its status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.clips import clips
from testing.host.wait import free_port, until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.network.mjpeg import Mjpeg
from testing.services.detector import (
    Tables,
    balance,
    books_of,
    facts,
    frames_of,
    run,
    serve_cameras,
    write_cameras,
)
from testing.services.process import Service
from testing.services.receipts import answering

NOWHERE = free_port()  # no broker is there
STATUS = "faces/status/box-1/detector/"


@pytest.fixture
def door(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "door.mp4", clips.faces(12))


@pytest.fixture
def yard(tmp_path: Path) -> Path:
    small = (clips.resize(image, (480, 270)) for image in clips.faces(8))
    return clips.write(tmp_path / "yard.mp4", small)


@pytest.fixture
def live() -> Iterator[Mjpeg]:
    with Mjpeg(clips.faces(10), fps=10) as camera:
        yield camera


def last_status(mqtt: Mqtt, camera: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(mqtt.on(STATUS + camera)[-1].payload)
    return status


def test_each_camera_sends_its_faces_under_its_name(
    edge: Mosquitto, tmp_path: Path, door: Path, yard: Path
) -> None:
    tables: Tables = {"front-door": {"source": door}, "yard": {"source": yard, "margin": 0}}
    with (
        Mqtt(edge.port, "faces") as mqtt,
        serve_cameras(edge, tmp_path, tables, CAMERA_END="exit") as service,
    ):
        assert service.wait(60) == 0, service.log
        until(lambda: len(mqtt.messages) == 20, what="all faces came")
        assert "front-door: 12 captured" in service.log
        assert "yard: 8 captured" in service.log
    known = [facts(message) for message in mqtt.messages]
    of_door = [one for one in known if one["camera"] == "front-door"]
    of_yard = [one for one in known if one["camera"] == "yard"]
    assert (len(of_door), len(of_yard)) == (12, 8)
    assert {one["frame"] for one in of_door} == {"640x360"}
    assert {one["frame"] for one in of_yard} == {"480x270"}
    assert {one["box"] == one["face"] for one in of_yard} == {True}
    assert len({one["id"] for one in known}) == 20


def test_books_and_status_are_kept_for_each_camera(
    edge: Mosquitto, tmp_path: Path, door: Path, yard: Path
) -> None:
    tables = {"front-door": {"source": door}, "yard": {"source": yard}}
    with (
        Mqtt(edge.port, f"{STATUS}+") as mqtt,
        answering(edge.port),
        serve_cameras(
            edge, tmp_path, tables, DELIVERY="receipt", CAMERA_END="idle", OUTBOX_PATH=tmp_path
        ) as service,
    ):
        service.says("end of file(.|\n)*end of file")
        for camera, count in (("front-door", 12), ("yard", 8)):
            books = books_of(service, camera)
            assert balance(books)
            assert (books["captured"], books["confirmed"]) == (count, count)
            assert service.metric("facepipe_detector_camera_ended", camera=camera) == 1
            assert frames_of(service, camera) == count
            until(lambda camera=camera: last_status(mqtt, camera).get("camera_ended"), 30)  # type: ignore[misc]
            status = last_status(mqtt, camera)
            assert (status["captured"], status["frames"]) == (count, count)
            assert (status["state"], status["reasons"]) == ("online", {})
        assert service.stop() == 0
        until(lambda: not mqtt.on(f"{STATUS}yard")[-1].payload)
        until(lambda: not mqtt.on(f"{STATUS}front-door")[-1].payload)
    assert {path.name for path in tmp_path.glob("*.db")} == {"front-door.db", "yard.db"}
    shown = run("--outbox", CAMERAS=tmp_path / "cameras.toml", OUTBOX_PATH=tmp_path).stdout
    assert shown.count("confirmed") == 2
    for camera, count in (("front-door", 12), ("yard", 8)):
        assert f"{camera}.db\ncaptured        {count}\nconfirmed       {count}\n" in shown


def test_a_camera_that_fails_is_degraded_alone(
    edge: Mosquitto, tmp_path: Path, live: Mjpeg
) -> None:
    gone = f"http://127.0.0.1:{free_port()}/video"
    tables = {"front-door": {"source": live.url}, "yard": {"source": gone}}
    with (
        Mqtt(edge.port, f"{STATUS}+") as mqtt,
        serve_cameras(edge, tmp_path, tables) as service,
    ):
        until(lambda: frames_of(service, "front-door") > 10)
        service.says(r"camera yard \(http://127.0.0.1:\d+/video\): .*\(refused\)")
        until(lambda: service.health()["reasons"] == {"camera/yard": "refused"})
        until(lambda: last_status(mqtt, "yard")["reasons"] == {"camera": "refused"}, 30)
        until(lambda: last_status(mqtt, "front-door")["status"] == "well", 30)
        assert frames_of(service, "yard") == 0
        failures = "facepipe_detector_camera_failures_total"
        assert service.metric(failures, camera="yard", reason="refused") >= 1
        assert service.metric(failures, camera="front-door") == 0


def test_one_connection_serves_all_and_its_end_takes_all_of_them(
    edge: Mosquitto, tmp_path: Path, live: Mjpeg
) -> None:
    tables = {name: {"source": live.url} for name in ("a", "b", "c")}
    with (
        Mqtt(edge.port, f"{STATUS}+") as mqtt,
        serve_cameras(edge, tmp_path, tables) as service,
    ):
        until(lambda: all(mqtt.on(STATUS + name) for name in tables))
        assert service.metric("facepipe_mqtt_connections_total") == 1
        service.kill()
        until(lambda: last_status(mqtt, "a")["state"] == "offline", what="the last will came")


def test_files_that_are_no_videos_are_all_named(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        (tmp_path / name).write_text("no video")
    tables = {name: {"source": str(tmp_path / f"{name}.mp4")} for name in ("one", "two")}
    with serve_cameras(NOWHERE, tmp_path, tables) as service:
        assert service.wait(40) == 2
        for name in tables:
            assert f"detector: [{name}] source is not a video or image" in service.log
        assert "Traceback" not in service.log


def test_an_outbox_that_another_detector_uses_is_named(
    edge: Mosquitto, tmp_path: Path, live: Mjpeg
) -> None:
    tables = {name: {"source": live.url} for name in ("a", "b")}
    more: dict[str, object] = {"DELIVERY": "receipt", "OUTBOX_PATH": tmp_path}
    with serve_cameras(edge, tmp_path, tables, **more) as first:
        until(lambda: frames_of(first, "b") > 0)
        with Service("detector", CAMERAS=tmp_path / "cameras.toml", **more) as second:
            assert second.wait(20) == 2
            assert "a.db" in second.log
            assert "b.db" in second.log


def test_the_outbox_report_says_which_camera_has_none_yet(tmp_path: Path) -> None:
    write_cameras(tmp_path, {"a": {"source": 0}, "b": {"source": 1}})
    shown = run("--outbox", CAMERAS=tmp_path / "cameras.toml", OUTBOX_PATH=tmp_path)
    assert shown.returncode == 2
    assert f"there is no outbox {tmp_path}/a.db, {tmp_path}/b.db" in shown.stderr


def test_a_file_that_ends_leaves_the_other_cameras_alone(
    edge: Mosquitto, tmp_path: Path, door: Path, live: Mjpeg
) -> None:
    tables: Tables = {"clip": {"source": door}, "hall": {"source": live.url}}
    with serve_cameras(edge, tmp_path, tables) as service:
        service.says("clip: end of file")
        before = frames_of(service, "hall")
        until(lambda: frames_of(service, "hall") > before + 10)
        assert service.stop() == 0
