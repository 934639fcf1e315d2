"""The books' second place: whatever happens to a write, the last or the one before is there."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from detector.outbox.accounting import REASONS_MAX, Accounts, capture, drop, reject
from detector.outbox.counter_file import SLOT, CounterFile, pick_latest, read_counters


def books(captured: int, commits: int = 0, **dropped: int) -> dict[str, Any]:
    fates = {"confirmed": 0, "sent": 0, "rejected": {}, "dropped": dropped}
    return {"commits": commits, "captured": captured, **fates}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camera-0.books"


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """As on a full disk: a write beyond `size` fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_was_written_last_is_found_by_the_next_run(path: Path) -> None:
    assert CounterFile(path).last is None
    for count in range(1, 6):
        CounterFile(path).write(books(count))
        assert CounterFile(path).last == read_counters(path) == books(count)


def test_looking_makes_no_file(path: Path) -> None:
    assert read_counters(path) is None
    assert not path.exists()


def test_a_write_torn_at_any_byte_leaves_the_one_before_it(path: Path) -> None:
    ledger = CounterFile(path)
    ledger.write(books(1))
    ledger.write(books(22))
    before = path.read_bytes()
    ledger.write(books(333))
    after = path.read_bytes()
    differing = [at for at in range(len(after)) if before[at] != after[at]]
    for torn in range(differing[0], differing[-1] + 2):
        path.write_bytes(after[:torn] + before[torn:])
        assert read_counters(path) in (books(22), books(333)), torn
        # Nor does it matter which bytes of a slot reached the disk.
        path.write_bytes(before[:torn] + after[torn:])
        assert read_counters(path) in (books(22), books(333)), torn


def test_a_file_cut_at_any_byte_is_read_or_begun_anew(path: Path) -> None:
    ledger = CounterFile(path)
    ledger.write(books(1))
    ledger.write(books(22))
    whole = path.read_bytes()
    for size in range(0, 2 * SLOT, 7):
        path.write_bytes(whole[:size])
        found = CounterFile(path)
        assert found.last in (None, books(1), books(22))
        assert path.stat().st_size == 2 * SLOT
        found.write(books(4444))
        assert read_counters(path) == books(4444)
        found.close()


def test_a_full_disk_does_not_stop_it(path: Path) -> None:
    ledger = CounterFile(path)
    with no_file_may_grow_beyond(path.stat().st_size):
        for count in range(5):
            ledger.write(books(count))
    assert read_counters(path) == books(4)


def test_a_disk_that_is_full_from_the_start_is_said_to_be(path: Path) -> None:
    with no_file_may_grow_beyond(SLOT // 2), pytest.raises(OSError, match=r"large|space"):
        CounterFile(path)
    assert CounterFile(path).last is None


def test_books_that_do_not_fit_are_refused_and_spoil_nothing(path: Path) -> None:
    ledger = CounterFile(path)
    ledger.write(books(1))
    with pytest.raises(OSError, match="more than fit"):
        ledger.write(books(2, **{f"reason_{n}": n for n in range(400)}))
    assert read_counters(path) == books(1)
    ledger.write(books(3))
    assert read_counters(path) == books(3)


def test_all_reasons_that_can_be_fit_in(path: Path) -> None:
    of_this_run = Accounts()
    for number in range(200):
        of_this_run.write(capture, reject(f"{'r' * 37}{number:03d}"))
        for _ in range(10_000 if number == 0 else 0):
            of_this_run.write(capture, drop("disk_failed"))
    ledger = CounterFile(path)
    ledger.write(of_this_run.state())
    assert len(of_this_run.state()["rejected"]) == REASONS_MAX + 1
    assert read_counters(path) == of_this_run.state()


@pytest.mark.parametrize(
    ("ledger", "kept", "holds"),
    [
        (None, None, None),
        (books(3), None, books(3)),
        (None, books(3), books(3)),
        # Killed between the commit and its entry in the ledger.
        (books(3, 7), books(4, 8), books(4, 8)),
        # What was dropped since the last commit, on a full disk.
        (books(5, 7, disk_full=2), books(3, 7), books(5, 7, disk_full=2)),
        # Commits that the database has forgotten: nobody knows whose they were.
        (books(9, 9, full=1), books(5, 7, full=1), books(9, 9, full=1, damaged=4)),
        (books(5, 9), books(5, 7), books(5, 9)),
    ],
)
def test_the_later_books_hold(
    ledger: dict[str, Any] | None, kept: dict[str, Any] | None, holds: dict[str, Any] | None
) -> None:
    assert pick_latest(ledger, kept) == holds


def test_another_slot_is_written_each_time(path: Path) -> None:
    ledger = CounterFile(path)
    ledger.write(books(1))
    first = path.read_bytes()
    ledger.write(books(2))
    second = path.read_bytes()
    kept = slice(SLOT, 2 * SLOT) if first[SLOT : SLOT + 4] != bytes(4) else slice(0, SLOT)
    assert first[kept] == second[kept]
    assert os.path.getsize(path) == 2 * SLOT
