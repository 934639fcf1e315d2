"""The outbox's disk is full, its file damaged: what is lost is counted, all else arrives."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.disk import mounted
from testing.host.wait import until
from testing.services.pipeline import Pipeline, check

DROPPED = "facepipe_detector_faces_dropped_total"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB in the place of the outbox."""
    with mounted(tmp_path / "outbox", megabytes=4) as folder:
        yield folder


def fill(folder: Path) -> Path:
    """Until not one byte more goes in."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    return ballast


def test_a_disk_that_is_full_and_freed(tmp_path: Path, small_disk: Path) -> None:
    with Pipeline(tmp_path) as line:
        line.wan.refuse()
        line.captures(20)
        ballast = fill(small_disk)
        until(lambda: line.detector.metric(DROPPED, reason="disk_full") >= 10, 40, "it is full")
        waiting = line.books()["waiting"]
        ballast.unlink()
        until(lambda: line.books()["waiting"] >= waiting + 20, 30, "faces are kept again")
        line.wan.mode = "pass"
        line.recovers()
        check(line, line.settles())


def test_a_disk_that_stays_full_empties_all_the_same(tmp_path: Path, small_disk: Path) -> None:
    """Nothing new comes that would be a reason to try again, and to take out is to write, too."""
    with Pipeline(tmp_path) as line:
        line.wan.refuse()
        line.captures(20)
        fill(small_disk)
        until(lambda: line.detector.metric(DROPPED, reason="disk_full") >= 10, 40, "it is full")
        line.leave()
        line.wan.mode = "pass"
        line.recovers()
        check(line, line.settles())


def checkpointed(database: Path) -> Path:
    """All of it in the one file."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database


def log_of(database: Path) -> Path:
    """The write-ahead log, which holds what was committed lately."""
    return database.with_name(f"{database.name}-wal")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("part", [checkpointed, log_of])
def test_a_database_that_is_truncated(tmp_path: Path, part: object, share: float) -> None:
    with Pipeline(tmp_path) as line:
        line.captures(20)
        line.wan.refuse()
        line.captures(40)
        line.kill("detector")
        assert callable(part)
        file = part(line.outbox / "camera-0.db")
        data = file.read_bytes()
        file.write_bytes(data[: int(len(data) * share)])
        line.start("detector")
        line.captures(20)
        line.wan.mode = "pass"
        line.recovers()
        found = line.settles()
        assert found["rejected"] == 0
        check(line, found, exactly=False)


def test_a_database_that_is_set_back_to_when_other_faces_waited(tmp_path: Path) -> None:
    """As many faces come back whose fate was known as are lost: that must not add up to nothing."""
    with Pipeline(tmp_path) as line:
        database = line.outbox / "camera-0.db"
        line.wan.refuse()
        line.captures(30)
        line.kill("detector")
        then = {file: file.read_bytes() for file in (database, log_of(database))}
        line.start("detector")
        line.wan.mode = "pass"
        until(lambda: line.books()["waiting"] <= 1, 30, "all have arrived")
        line.wan.refuse()
        line.captures(40)
        line.kill("detector")
        for file, content in then.items():
            file.write_bytes(content)
        line.start("detector")
        line.wan.mode = "pass"
        line.recovers()
        found = line.settles()
        assert found["dropped"] >= 30
        check(line, found, exactly=False)


def test_a_database_that_is_truncated_while_it_is_used(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as line:
        line.wan.refuse()
        line.captures(40)
        for file in (line.outbox / "camera-0.db", log_of(line.outbox / "camera-0.db")):
            with file.open("r+b") as opened:
                opened.truncate(file.stat().st_size // 2)
        line.captures(20)
        line.wan.mode = "pass"
        line.recovers()
        found = line.settles()
        assert found["rejected"] == 0
        check(line, found, exactly=False)
