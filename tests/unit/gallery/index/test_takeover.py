"""An index that an older version has written is taken over, row by row."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from gallery.index.index import Index
from gallery.index.model import Entry, ref_of
from gallery.index.query import REJECTED, Filter

OLD = Path(__file__).with_name("shape_1.sql").read_text()
DAY = 1_772_323_200_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file as the older version has left it."""
    path = tmp_path / "index.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(OLD)
    db.close()
    return path


def rows(path: Path) -> dict[str, Entry]:
    db = sqlite3.connect(path)
    names = "ref, key, kind, device, camera, id, captured, stored, size, sharpness, quality, score"
    found = db.execute(f"SELECT {names}, reason, known FROM faces").fetchall()
    db.close()
    fields = [field.name for field in dataclasses.fields(Entry)]
    whole = [dict(zip(fields, row, strict=True)) for row in found]
    return {row["ref"]: Entry(**row | {"known": bool(row["known"])}) for row in whole}


def test_every_face_is_as_it_was(path: Path) -> None:
    before = rows(path)
    index = Index(path, 1000)
    assert {ref: index.entry(ref) for ref in before} == before
    assert (index.count(Filter()), index.count(Filter(kind=REJECTED))) == (5, 1)
    assert index.known(Filter()) == 3
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


def test_a_take_over_that_was_cut_off_begins_again(path: Path) -> None:
    path.with_name("index.db.new").write_bytes(b"half of a file")
    assert Index(path, 1000).count(Filter()) == 5
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix == ".new") == []


def test_it_is_taken_over_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        Index(path, 1000)
        assert "migrated 6 faces" in caplog.text
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
