"""A box whose clock shows 1970 at boot, is set later, or jumps backwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.protocol import clock
from testing.clips import clips
from testing.host.wait import until, until_above
from testing.host.wallclock import WallClock
from testing.mqtt.mosquitto import Mosquitto
from testing.network.mjpeg import Mjpeg
from testing.services.detector import books, facts
from testing.services.outbox import fill
from testing.services.receipts import Processor, answering, start

DROPPED = "facepipe_detector_faces_dropped_total"
DAY = 86_400.0


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def camera() -> Iterator[Mjpeg]:
    with Mjpeg(clips.faces(20), fps=8) as server:
        yield server


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "nothing.avi", [clips.faces(1)[0] * 0] * 3, "MJPG")


def captured(told: dict[str, str]) -> float:
    return clock.from_rfc3339(told["captured"])


def test_a_time_of_1970_is_put_right_before_the_first_publication(
    edge: Mosquitto, camera: Mjpeg, wall: WallClock, tmp_path: Path
) -> None:
    wall.boots_in_1970()
    edge.kill()
    begun = time.time()
    with start(edge, camera.url, **wall.env, OUTBOX_PATH=tmp_path / "outbox") as service:
        until(lambda: books(service)["captured"] > 5, 30)
        wall.shift(0)
        before = books(service)["captured"]
        until(lambda: books(service)["captured"] > before + 5)
        edge.start()
        with answering(edge.port) as processor:
            until(lambda: books(service)["confirmed"] > before + 5, 30)
            told = [facts(message) for message in processor.on("faces")]
    assert {face["clock"] for face in told} == {"corrected", "set"}
    assert all(begun - 1 < captured(face) < time.time() + 1 for face in told)
    in_order = sorted(told, key=lambda face: (face["clock"] == "set", face["id"]))
    times = [captured(face) for face in in_order if face["clock"] == "corrected"]
    assert times == sorted(times)
    assert len({face["id"] for face in told}) == len({face["captured"] for face in told})


def test_a_time_of_capture_that_was_published_never_changes(
    edge: Mosquitto, camera: Mjpeg, wall: WallClock, tmp_path: Path
) -> None:
    wall.boots_in_1970()
    env = {**wall.env, "OUTBOX_PATH": tmp_path / "outbox", "OUTBOX_WINDOW": 3}
    env["OUTBOX_ORDER"] = "oldest"
    with Processor(edge.port, lambda *_: []) as processor, start(edge, camera.url, **env):
        until(lambda: len(processor.copies) >= 3, 30)
        first = {facts(m)["id"]: facts(m) for m in processor.on("faces")}
        assert {face["clock"] for face in first.values()} == {"unset"}
        wall.shift(0)
        until(lambda: any(len(processor.copies[id]) > 1 for id in first), 30)
    with answering(edge.port) as after, start(edge, camera.url, **env):
        until(lambda: first.keys() <= after.copies.keys(), 30)
    for message in [*processor.on("faces"), *after.on("faces")]:
        told = facts(message)
        if told["id"] in first:
            assert told == first[told["id"]]


def test_a_clock_that_jumps_backwards_makes_no_id_twice_and_drops_nothing(
    edge: Mosquitto, camera: Mjpeg, wall: WallClock, tmp_path: Path
) -> None:
    with (
        answering(edge.port) as processor,
        # In order of capture: else one that waits while a newer one comes is sent behind it.
        start(
            edge,
            camera.url,
            **wall.env,
            OUTBOX_PATH=tmp_path / "outbox",
            OUTBOX_ORDER="oldest",
        ) as service,
    ):
        for jump in (-3600.0, 40 * DAY, -1.0, -10 * DAY):
            before = len(processor.copies)
            until_above(lambda: len(processor.copies), before + 4, 30)
            wall.shift(jump)
        count = books(service)
        assert count["dropped"] == 0
        until(lambda: books(service)["confirmed"] >= count["captured"])
        sent = [facts(message) for message in processor.on("faces")]
        ids = [face["id"] for face in sent]
        assert len(set(ids)) == len(ids)
        assert sorted(ids) == ids or service.metric("facepipe_detector_faces_resent_total") > 0
        assert {face["clock"] for face in sent} == {"set"}


def test_setting_the_clock_drops_nothing_by_age_and_a_restart_neither(
    edge: Mosquitto, camera: Mjpeg, nothing: Path, wall: WallClock, tmp_path: Path
) -> None:
    folder = tmp_path / "outbox"
    env = {**wall.env, "OUTBOX_PATH": folder, "OUTBOX_MAX_DAYS": 1}
    wall.boots_in_1970()
    with start(edge, camera.url, **env) as service:
        until(lambda: books(service)["captured"] > 5, 30)
        wall.shift(0)
        before = books(service)["captured"]
        until(lambda: books(service)["captured"] > before + 5)
        service.kill()
    with start(edge, nothing, **env) as service:
        service.says("faces from earlier runs are waiting")
        until(lambda: books(service)["waiting"] > before)
        assert books(service)["dropped"] == 0


def test_faces_of_an_earlier_boot_age_between_times_of_a_set_clock_only(
    edge: Mosquitto, nothing: Path, wall: WallClock, tmp_path: Path
) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir()
    fill(folder / "camera-0.db", 5, boot="00000000-0000-4000-8000-000000000000")
    env = {**wall.env, "OUTBOX_PATH": folder, "OUTBOX_MAX_DAYS": 1}
    wall.boots_in_1970()
    with start(edge, nothing, **env) as service:
        service.says("5 faces from earlier runs are waiting")
        assert service.stop() == 0
    wall.shift(2 * DAY)
    with start(edge, nothing, **env) as service:
        service.says(r"5 captured, 0 confirmed, 0 rejected, 5 dropped \(old 5\), 0 waiting", 30)
        assert service.metric(DROPPED, reason="old") == 5
