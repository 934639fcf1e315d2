"""An index that an older version has written is taken over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gallery.index.index import Index
from gallery.index.model import Entry, ref_of
from gallery.index.query import REJECTED, Filter

SHAPES = (1, 2)
DAY = 1_772_323_200_000


@pytest.fixture(params=SHAPES, ids=[f"shape {shape}" for shape in SHAPES])
def shape(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def path(tmp_path: Path, shape: int) -> Path:
    """A file as an older version has left it."""
    path = tmp_path / "index.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(Path(__file__).with_name(f"shape_{shape}.sql").read_text())
    db.close()
    return path


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entry]:
    """What each of the files has, by ref; no metadata of a face counts as read, for the older
    versions did not keep its track."""
    db = sqlite3.connect(tmp_path_factory.mktemp("rows") / "index.db")
    db.executescript(Path(__file__).with_name("shape_1.sql").read_text())
    names = "ref, key, kind, device, camera, id, captured, stored, size, sharpness, quality, score"
    found = db.execute(f"SELECT {names}, reason FROM faces").fetchall()
    db.close()
    return {row[0]: Entry(*row) for row in found}


def test_every_face_is_as_it_was(path: Path, rows: dict[str, Entry]) -> None:
    index = Index(path, 1000)
    assert {ref: index.entry(ref) for ref in rows} == rows
    assert index.totals(Filter()) == (5, 5, 5)
    assert index.totals(Filter(kind=REJECTED)) == (1, 1, 1)
    assert sum(visits for _, _, visits in index.histogram(Filter())) == 5
    devices = [(device.name, device.cameras, device.faces) for device in index.devices()]
    assert devices == [
        ("box-1", ["door", "hall"], 3),
        ("box-2", ["door"], 1),
        ("box-9", ["yard"], 1),
    ]


def test_what_was_deleted_stays_deleted_and_is_told(path: Path) -> None:
    index = Index(path, 1000)
    id = "5".rjust(32, "0")
    key = f"box-1/door/2026-03-01/face_{DAY + 5000}_{id}.png"
    gone = Entry(ref_of(key), key, "face", "box-1", "door", f"box-1/{id}", DAY + 5000, DAY, 1)
    assert index.add([gone]) == ([], [gone])
    assert [deletion.by for deletion in index.deletions(10)] == ["anna"]
    assert index.logs() == {"log-1"}


def test_the_visits_are_learnt_with_the_metadata(path: Path, rows: dict[str, Entry]) -> None:
    index = Index(path, 1000)
    mine = [one for one in rows.values() if (one.device, one.camera) == ("box-1", "door")]
    assert len(mine) == 2
    for one in mine:
        index.learn(one, {"track": "a-1"})
    assert index.totals(Filter()) == (5, 3, 4)
    assert index.totals(Filter(device="box-1", camera="door")) == (2, 0, 1)


@pytest.mark.parametrize("shape", [1], indirect=True)
def test_a_take_over_that_was_cut_off_begins_again(path: Path) -> None:
    path.with_name("index.db.new").write_bytes(b"half of a file")
    assert Index(path, 1000).count(Filter()) == 5
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix == ".new") == []


def test_it_is_taken_over_once(path: Path, shape: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        Index(path, 1000)
        assert {1: "migrated 6 faces", 2: "added visits"}[shape] in caplog.text
        caplog.clear()
        assert Index(path, 1000).count(Filter()) == 5
    assert caplog.text == ""


def test_an_older_file_that_is_damaged_is_thrown_away(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with caplog.at_level("INFO"):
        assert Index(path, 1000).count(Filter()) == 0
    assert "rebuilding the index" in caplog.text
