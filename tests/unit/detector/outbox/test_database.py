"""The database of waiting faces: all or nothing, never wrong bytes, and much of it after damage."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.outbox.database import (
    MIGRATIONS,
    Damaged,
    OtherVersion,
    OutboxChange,
    OutboxDatabase,
    OutboxEntry,
    OutboxPicture,
    Unwritable,
)
from detector.outbox.recovery import rescue
from testing.services.outbox import copy, face, fill, fill_first_schema, overwrite

BOOKS = {"captured": 3}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camera-0.db"


def saved_from(damaged: Path) -> dict[int, tuple[OutboxEntry, OutboxPicture]]:
    """What a rescue finds, as it can be read from the new database."""
    into = damaged.with_suffix(".rescued")
    entries, _ = rescue(damaged, into, None)
    outbox = OutboxDatabase(into)
    assert outbox.entries() == entries
    pictures = outbox.read([entry.seq for entry in entries])
    outbox.close()
    found = {}
    for entry in entries:
        picture = pictures[entry.seq]
        assert picture is not None
        found[entry.seq] = (dataclasses.replace(entry, final=False), picture)
    return found


def test_what_is_committed_is_there_in_order_when_opened_again(path: Path) -> None:
    faces = [face(seq) for seq in (1, 2, 3)]
    outbox = OutboxDatabase(path)
    outbox.commit(OutboxChange(added=faces), BOOKS)
    # Not closed: as after kill -9.
    again = OutboxDatabase(copy(path, path.with_name("copy.db")))
    assert again.entries() == [entry for entry, _ in faces]
    assert again.read([2, 9, 1]) == {2: faces[1][1], 9: None, 1: faces[0][1]}
    assert again.books() == BOOKS


def test_a_commit_adds_removes_and_finishes_at_once(path: Path) -> None:
    outbox = OutboxDatabase(path)
    outbox.commit(OutboxChange(added=[face(1), face(2)]), BOOKS)
    later = {"captured": "2026-03-01T12:00:00.000000Z", "clock": "corrected"}
    outbox.commit(OutboxChange([face(3)], [1], [(2, later)]), {"captured": 4})
    assert [(entry.seq, entry.final) for entry in outbox.entries()] == [(2, True), (3, False)]
    assert outbox.read([1])[1] is None
    assert outbox.read([2])[2] == OutboxPicture(face(2)[1].png, later)
    assert outbox.books() == {"captured": 4}


def test_each_commit_is_on_the_disk_when_it_returns(path: Path) -> None:
    outbox = OutboxDatabase(path)
    pragma = {
        name: outbox._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "journal_size_limit")
    }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "journal_size_limit": 16 << 20}


def test_nobody_else_can_read_the_faces(path: Path) -> None:
    outbox = OutboxDatabase(path)
    outbox.commit(OutboxChange(added=[face(1)]), BOOKS)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_a_commit_that_the_disk_does_not_take_leaves_nothing(path: Path) -> None:
    outbox = OutboxDatabase(path)
    outbox.commit(OutboxChange(added=[face(1)]), BOOKS)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages + 20}")
    with pytest.raises(Unwritable) as refused:
        outbox.commit(OutboxChange([face(2), face(3, 400_000)], [1]), {"captured": 9})
    assert refused.value.reason == "disk_full"
    assert [entry.seq for entry in outbox.entries()] == [1]
    assert outbox.books() == BOOKS
    outbox.commit(OutboxChange([face(2)], [1]), {"captured": 2})
    assert [entry.seq for entry in outbox.entries()] == [2]


def test_a_picture_whose_bytes_have_changed_is_not_given_out(path: Path) -> None:
    fill(path, 3)
    db = sqlite3.connect(path)
    db.execute("UPDATE pictures SET png = zeroblob(2000) WHERE seq = 2")
    db.commit()
    outbox = OutboxDatabase(path)
    assert [seq for seq, picture in outbox.read([1, 2, 3]).items() if picture is None] == [2]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE faces SET facts = replace(facts, 'box-1', 'box-2') WHERE seq = 2",
        "UPDATE faces SET id = CAST(x'ff00fe' AS TEXT) WHERE seq = 2",
        "UPDATE faces SET size = 'huge' WHERE seq = 2",
        "UPDATE faces SET wall = 1e300 WHERE seq = 2",
        "UPDATE faces SET boot = x'00' WHERE seq = 2",
        "UPDATE books SET json = replace(json, '3', '4')",
        "UPDATE books SET json = '{'",
        "UPDATE books SET json = x'ff'",
        "DROP TABLE pictures; DROP TABLE faces",
        "PRAGMA user_version=-5",
        "PRAGMA user_version=1",
        "PRAGMA user_version=0",
        "PRAGMA user_version=123456",
    ],
)
def test_records_and_books_that_have_changed_are_damage(path: Path, change: str) -> None:
    fill(path, 3)
    sqlite3.connect(path).executescript(change)

    def use() -> None:
        outbox = OutboxDatabase(path)
        outbox.entries()
        outbox.books()

    with pytest.raises(Damaged):
        use()


def test_a_face_without_its_row_does_not_stop_the_next(path: Path) -> None:
    """A number that stands in one tree only would else refuse each new face, for ever."""
    fill(path, 3)
    sqlite3.connect(path, isolation_level=None).execute("DELETE FROM faces WHERE seq = 3")
    outbox = OutboxDatabase(path)
    with pytest.raises(Damaged):
        outbox.commit(OutboxChange(added=[face(3)]), BOOKS)


def test_an_outbox_of_the_first_schema_is_brought_up_to_date_with_all_its_faces(
    path: Path,
) -> None:
    faces = fill_first_schema(path, 2000)
    outbox = OutboxDatabase(path)
    assert outbox.entries() == [entry for entry, _ in faces]
    assert outbox.read(range(1, 2001)) == {entry.seq: picture for entry, picture in faces}
    books = outbox.books()
    assert books is not None
    assert (books["captured"], books["commits"]) == (2000, 7)
    outbox.close()
    assert OutboxDatabase(path).entries() == [entry for entry, _ in faces]


def test_an_outbox_of_a_newer_version_is_left_alone(path: Path) -> None:
    fill(path, 3)
    sqlite3.connect(path).execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(OtherVersion, match="schema 4"):
        OutboxDatabase(path)
    assert path.read_bytes() == before


def test_space_is_used_again(path: Path) -> None:
    outbox = OutboxDatabase(path)
    for seq in range(1, 1001):
        gone = [seq - 100] if seq > 100 else []
        outbox.commit(OutboxChange([face(seq, 10_000)], gone), BOOKS)
    assert path.stat().st_size < 1.5 * 100 * 10_000
    assert Path(f"{path}-wal").stat().st_size <= 17 << 20


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 5, 8, 20, 57, 100, 150])
def test_a_truncated_file_gives_back_what_it_still_has_and_nothing_wrong(
    path: Path, pages: int
) -> None:
    faces = {entry.seq: (entry, picture) for entry, picture in fill(path, 200)}
    os.truncate(path, pages * 4096 + 100)
    found = saved_from(path)
    assert found.items() <= faces.items()
    # Each face takes about 2,600 bytes, and pages were filled in order of capture.
    assert len(found) >= max(0, pages - 20)


@pytest.mark.parametrize("page", range(12))
def test_a_page_that_was_overwritten_costs_no_more_than_what_was_on_it(
    path: Path, page: int
) -> None:
    faces = {entry.seq: (entry, picture) for entry, picture in fill(path, 200)}
    total = path.stat().st_size // 4096
    at = page if page < 6 else total * (page - 5) // 7
    # Header and schema, and the roots of `faces` and `pictures`: without one, no row is found.
    roots = (0, 1, 3)
    overwrite(path, at * 4096, b"\xa5" * 4096)
    found = saved_from(path)
    assert found.items() <= faces.items()
    assert len(found) >= (0 if at in roots else 180)


def test_two_holes_do_not_hide_what_lies_between(path: Path) -> None:
    faces = {entry.seq: (entry, picture) for entry, picture in fill(path, 1000)}
    total = path.stat().st_size // 4096
    for share in (0.2, 0.4, 0.6, 0.8):
        overwrite(path, int(total * share) * 4096, bytes(4096))
    found = saved_from(path)
    assert found.items() <= faces.items()
    assert len(found) >= 950


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "camera-0.db"
    fill(path, 60)
    outbox = OutboxDatabase(path)  # and, in its log, faces 61 to 70, and the end of some others
    for seq in range(61, 71):
        outbox.commit(OutboxChange([face(seq)], [seq - 60]), {"captured": seq})
    copied = copy(path, path.with_name("copy.db"))
    outbox.close()
    return copied


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files are written at once: of hundreds of databases, the disk is the time."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    share=st.floats(0, 1, exclude_max=True),
    data=st.binary(min_size=1, max_size=600),
    cut=st.booleans(),
    log=st.booleans(),
)
def test_whatever_is_overwritten_nothing_wrong_comes_back(
    sound: Path, in_memory: Path, share: float, data: bytes, cut: bool, log: bool
) -> None:
    path = copy(sound, in_memory / "camera-0.db")
    hurt = Path(f"{path}-wal") if log else path
    at = int(hurt.stat().st_size * share)
    if cut:
        os.truncate(hurt, at)
    else:
        overwrite(hurt, at, data)
    faces = {seq: face(seq) for seq in range(1, 71)}
    for seq, (entry, picture) in saved_from(path).items():
        known, pixels = faces[seq]
        assert picture == pixels
        assert (entry.id, entry.sha256, entry.size) == (known.id, known.sha256, known.size)


def test_a_log_whose_database_is_empty_is_not_thrown_away(path: Path) -> None:
    outbox = OutboxDatabase(path)
    outbox.commit(OutboxChange(added=[face(1), face(2)]), BOOKS)
    left = copy(path, path.with_name("copy.db"))
    os.truncate(left, 0)
    with pytest.raises(Damaged):
        OutboxDatabase(left)
    assert sorted(saved_from(left)) == [1, 2]
