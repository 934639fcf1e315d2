"""The outbox of a running detector: kills, restarts, bounds, damage, full disks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from detector.outbox.database import MIGRATIONS, OutboxChange, OutboxDatabase
from testing.clips import clips
from testing.host.disk import mounted
from testing.host.memory import peak
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import Received
from testing.services.detector import balance, books, facts
from testing.services.outbox import fill, overwrite
from testing.services.process import ROOT, Service
from testing.services.receipts import STATUS, Processor, answering, start, stored

DROPPED = "facepipe_detector_faces_dropped_total"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "face.avi", clips.faces(24), "MJPG")


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A clip without a face."""
    return clips.write(tmp_path / "nothing.avi", [clips.faces(1)[0] * 0] * 3, "MJPG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "outbox"
    path.mkdir()
    return path


@pytest.fixture
def database(folder: Path) -> Path:
    return folder / "camera-0.db"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", megabytes=18) as path:
        yield path


def table(folder: Path) -> dict[str, str]:
    """What `python -m detector --outbox` prints."""
    env = {**os.environ, "OUTBOX_PATH": str(folder), "DEVICE": "box-1"}
    command = [sys.executable, "-m", "detector", "--outbox"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {line[:16].strip(): line[16:] for line in done.stdout.splitlines()}


def test_what_waited_at_a_kill_is_sent_by_the_next_run(
    edge: Mosquitto, clip: Path, nothing: Path, folder: Path
) -> None:
    with Processor(edge.port, lambda *_: []) as processor:
        with start(edge, clip, OUTBOX_PATH=folder, OUTBOX_WINDOW=24) as service:
            until(lambda: books(service)["captured"] == 24)
            until(lambda: len(processor.copies) > 2)
            service.kill()
        seen = {id: copies[0] for id, copies in processor.copies.items()}
    with (
        answering(edge.port) as processor,
        start(edge, nothing, OUTBOX_PATH=folder) as service,
    ):
        service.says("24 faces from earlier runs are waiting")
        service.says("24 captured, 24 confirmed, 0 rejected, 0 dropped, 0 waiting")
        sent = {id: copies[0] for id, copies in processor.copies.items()}
        assert len(sent) == 24
        assert seen.items() <= sent.items()
        assert books(service)["captured"] == 24
        told = json.loads(
            until(lambda: [m.payload for m in processor.on(STATUS) if b"online" in m.payload])[-1]
        )
        assert told["captured"] == 24
        assert service.stop() == 0
    with start(edge, nothing, OUTBOX_PATH=folder) as service:
        service.says("24 captured, 24 confirmed, 0 rejected, 0 dropped, 0 waiting")


def test_the_table_tells_the_same_beside_a_running_and_a_stopped_detector(
    edge: Mosquitto, clip: Path, folder: Path
) -> None:
    def half(message: Received, _: int) -> list[dict[str, Any]]:
        return [stored(message)] if int(facts(message)["frame_index"]) < 6 else []

    env = {"OUTBOX_PATH": folder, "OUTBOX_ORDER": "oldest"}
    with Processor(edge.port, half), start(edge, clip, **env) as service:
        until(lambda: books(service)["captured"] == 24 and books(service)["confirmed"] == 6)
        running = table(folder)
        service.kill()
    stopped = table(folder)
    for shown in (running, stopped):
        assert (shown["captured"], shown["confirmed"], shown["waiting"]) == ("24", "6", "18")
        assert (shown["rejected"], shown["dropped"]) == ("0", "0")
        assert int(shown["bytes waiting"]) > 18 * 1000
        assert re.fullmatch(r"\d+ s", shown["oldest waiting"])
        assert re.fullmatch(r"20\S+Z \(\d+ s ago\)", shown["last receipt"])
        assert re.fullmatch(r"0\.\d{3} s", shown["round trip"])
    assert running["outbox"] == str(folder / "camera-0.db")


def test_a_table_of_no_outbox_says_so_and_makes_none(folder: Path) -> None:
    with Service("detector", OUTBOX_PATH=folder) as asked:
        asked.kill()
        asked.command.append("--outbox")
        asked.start()
        assert asked.wait() == 2
        assert "there is no outbox" in asked.log
    assert list(folder.glob("*.db*")) == []


def test_a_second_detector_of_the_same_outbox_ends_with_a_clear_sentence(
    edge: Mosquitto, clip: Path, nothing: Path, folder: Path
) -> None:
    with start(edge, clip, OUTBOX_PATH=folder) as first:
        until(lambda: books(first)["captured"] == 24)
        with start(edge, nothing, OUTBOX_PATH=folder) as second:
            assert second.wait() == 2
            assert "another detector uses" in second.log
            assert "CAMERA_NAME" in second.log
        with start(edge, nothing, OUTBOX_PATH=folder, CAMERA_NAME="door") as third:
            third.says("every face is accounted for")
        assert books(first)["waiting"] == 24


@pytest.mark.parametrize("place", ["/proc/outbox", "{folder}/file", "{folder}/taken"])
def test_an_outbox_that_cannot_be_written_ends_with_a_clear_sentence(
    edge: Mosquitto, clip: Path, folder: Path, place: str
) -> None:
    (folder / "file").write_text("no folder")
    (folder / "taken" / "camera-0.db").mkdir(parents=True)
    with start(edge, clip, OUTBOX_PATH=place.format(folder=folder)) as service:
        assert service.wait() == 2
        assert service.log.splitlines()[-1].startswith("detector: OUTBOX_PATH=")
        assert "Traceback" not in service.log


def test_an_outbox_of_a_newer_version_is_left_alone(
    edge: Mosquitto, clip: Path, folder: Path, database: Path
) -> None:
    fill(database, 3)
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    before = database.read_bytes()
    with start(edge, clip, OUTBOX_PATH=folder) as service:
        assert service.wait() == 2
        assert "has an unknown version" in service.log
    assert database.read_bytes() == before


def test_faces_older_than_they_may_get_are_dropped(
    edge: Mosquitto, nothing: Path, folder: Path, database: Path
) -> None:
    fill(database, 7, old=3600)
    outbox = OutboxDatabase(database)
    known = outbox.books()
    assert known is not None
    outbox.commit(OutboxChange(removed=[7]), known | {"confirmed": 1})
    outbox.close()
    env = {"OUTBOX_PATH": folder, "OUTBOX_MAX_DAYS": 0.01}
    with start(edge, nothing, **env) as service:
        service.says(r"7 captured, 1 confirmed, 0 rejected, 6 dropped \(.+\), 0 waiting", 30)
        assert service.metric(DROPPED, reason="old") == 6


def test_the_oldest_go_when_the_outbox_is_full(
    edge: Mosquitto, folder: Path, database: Path
) -> None:
    fill(database, 10, size=100_000)
    env = {"CAMERA_LOOP": 1, "CAMERA_FPS": 20, "DETECT_WIDTH": 320, "OUTBOX_MAX_MB": 1}
    with start(edge, clips.CLIP, OUTBOX_PATH=folder, **env) as service:
        until(lambda: service.metric(DROPPED, reason="full") > 5, 30)
        assert service.metric("facepipe_detector_waiting_bytes") <= 1 << 20
        assert service.stop() == 0
        log = service.log
    captured, dropped = map(int, re.findall(r"(\d+) captured.* (\d+) dropped", log)[-1])
    left = [entry.seq for entry in OutboxDatabase(database).entries()]
    assert left == list(range(dropped + 1, captured + 1))


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_the_backlog_is_sent_in_the_order_that_was_asked_for(
    edge: Mosquitto, nothing: Path, folder: Path, database: Path, order: str
) -> None:
    fill(database, 30)
    env = {"OUTBOX_PATH": folder, "OUTBOX_ORDER": order, "OUTBOX_WINDOW": 1}
    with answering(edge.port) as processor, start(edge, nothing, **env) as service:
        service.says("30 captured, 30 confirmed")
        came = [int(facts(message)["id"], 16) for message in processor.on("faces")]
        assert came == sorted(came, reverse=order == "newest")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def scrambled(path: Path) -> None:
    overwrite(path, 0, os.urandom(20_000))


@pytest.mark.parametrize(
    ("harm", "least"), [(truncated, 15), (emptied, 0), (scrambled, 0), (Path.unlink, 0)]
)
def test_a_database_that_was_damaged_is_set_aside_and_what_can_be_read_is_sent(
    edge: Mosquitto,
    nothing: Path,
    folder: Path,
    database: Path,
    harm: Callable[[Path], None],
    least: int,
) -> None:
    with start(edge, nothing, OUTBOX_PATH=folder) as service:
        service.says("every face is accounted for")
        service.stop()
    fill(database, 60)
    with start(edge, nothing, OUTBOX_PATH=folder) as service:  # the second place learns of them
        service.says("60 faces from earlier runs are waiting")
        service.kill()
    harm(database)
    with answering(edge.port) as processor, start(edge, nothing, OUTBOX_PATH=folder) as service:
        found = service.says(
            r"60 captured, (\d+) confirmed, 0 rejected, (\d+) dropped \(.+\), 0 waiting"
        )
        saved, lost = int(found[1]), int(found[2])
        assert saved >= least
        assert (saved + lost, len(processor.copies)) == (60, saved)
        assert service.metric(DROPPED, reason="damaged") == lost > 0
        if harm in (truncated, scrambled):
            assert str(folder / "camera-0.damaged") in service.log
            assert (folder / "camera-0.damaged").exists()
        assert service.stop() == 0
    with start(edge, nothing, OUTBOX_PATH=folder) as service:
        service.says(
            rf"60 captured, {saved} confirmed, 0 rejected, {lost} dropped \(.+\), 0 waiting"
        )


def test_damage_while_running_costs_what_was_hit_and_nothing_else(
    edge: Mosquitto, clip: Path, folder: Path, database: Path
) -> None:
    fill(database, 300, size=20_000)
    env = {"OUTBOX_PATH": folder, "OUTBOX_ORDER": "oldest"}
    with start(edge, clip, **env) as service:
        until(lambda: books(service)["captured"] == 324)
        pages = database.stat().st_size // 4096
        for page in range(pages // 3, pages // 3 + 40):
            overwrite(database, page * 4096, os.urandom(4096))
        with answering(edge.port) as processor:
            found = service.says(
                r"324 captured, (\d+) confirmed, 0 rejected, (\d+) dropped \(.+\), 0", 60
            )
            assert int(found[1]) + int(found[2]) == 324
            assert 0 < service.metric(DROPPED, reason="damaged") < 60
            assert len(processor.copies) == int(found[1])
        assert "Traceback" not in service.log
        assert service.stop() == 0


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert path.stat().st_size > 0


def full(service: Service) -> bool:
    return bool(service.health()["reasons"].get("outbox") == "disk_full")


def test_a_full_disk_costs_new_faces_which_are_counted_until_it_is_freed(
    edge: Mosquitto, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    env = {"CAMERA_LOOP": 1, "CAMERA_FPS": 20, "DETECT_WIDTH": 320}
    with start(edge, clips.CLIP, OUTBOX_PATH=small_disk, **env) as service:
        until(lambda: books(service)["captured"] > 3, 30)
        fill_up(ballast)
        until(lambda: service.metric(DROPPED, reason="disk_full") > 3, 40, "faces are dropped")
        assert full(service)
        assert service.health()["status"] == "degraded"
        before = service.metric(DROPPED, reason="disk_full")
        service.kill()  # and the count outlives that
    with start(edge, clips.CLIP, OUTBOX_PATH=small_disk, **env) as service:
        until(lambda: service.metric(DROPPED, reason="disk_full") > before, 40)
        assert full(service)
        ballast.unlink()
        with answering(edge.port):
            service.says("stores faces again", 40)
            assert not full(service)
            until(lambda: books(service)["confirmed"] > 30, 30)
        assert balance(books(service))
        assert len(re.findall("new faces are lost", service.log)) == 1
        assert "Traceback" not in service.log


def test_a_disk_full_of_faces_is_freed_by_sending_them(edge: Mosquitto, small_disk: Path) -> None:
    """Though to take a face out of the database, SQLite has to write first."""
    fill(small_disk / "camera-0.db", 250, size=20_000)
    env = {"CAMERA_LOOP": 1, "CAMERA_FPS": 20, "DETECT_WIDTH": 320}
    with start(edge, clips.CLIP, OUTBOX_PATH=small_disk, **env) as service:
        until(lambda: books(service)["captured"] > 255, 30)
        fill_up(small_disk / "ballast")
        until(lambda: full(service), 40)
        with answering(edge.port):
            service.says("stores faces again", 40)
            until(lambda: books(service)["confirmed"] > 250, 40)
        assert balance(books(service))
        assert "Traceback" not in service.log


def test_a_hundred_thousand_faces_open_and_are_sent_from(
    edge: Mosquitto, nothing: Path, folder: Path, database: Path
) -> None:
    fill(database, 100_000, size=200)
    with answering(edge.port), start(edge, nothing, OUTBOX_PATH=folder) as service:
        service.says("100000 faces from earlier runs are waiting", 60)
        until(lambda: books(service)["confirmed"] > 2000, 60)
        most = peak(service.pid) / 1024**2
        times = re.findall(r"T(\S+)Z INFO", service.log)
        print(f"100,000 faces: peak {most:.0f} MB; first lines at {times[:4]}")
        assert most < 250
        assert service.stop() == 0
