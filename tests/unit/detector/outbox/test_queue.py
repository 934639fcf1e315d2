"""The outbox as the detector's event loop has it: what a run leaves is what the next one finds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from common.service import Service
from common.settings import SettingsError
from detector.outbox import accounting
from detector.outbox.accounting import Accounts
from detector.outbox.database import OutboxDatabase, OutboxEntry, OutboxPicture
from detector.outbox.queue import OutboxQueue
from testing.services.outbox import copy, face, fill, overwrite

LARGE = 100 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "camera-0.db"


def run(path: Path, work: Callable[[OutboxQueue], Coroutine[Any, Any, None]]) -> Accounts:
    """Do `work` with a shelf; the books at its end."""

    async def main() -> Accounts:
        own = Accounts()
        shelf = OutboxQueue(path, own, LARGE, 7, Service())
        await shelf.open()
        try:
            await work(shelf)
        finally:
            os.close(shelf._files.locked or -1)
        return own

    return asyncio.run(main())


def put(shelf: OutboxQueue, seq: int, size: int = 2000) -> None:
    entry, picture = face(seq, size)
    shelf.add(entry.id, entry.sha256, picture, entry.wall)


async def nothing(_: OutboxQueue) -> None:
    pass


def test_what_is_only_noted_is_in_the_books_of_the_next_run(path: Path) -> None:
    async def note(shelf: OutboxQueue) -> None:
        shelf.note(accounting.receive(12.5, 0.25))
        await shelf.commit()

    run(path, note)
    assert run(path, nothing).figures()["last_receipt"] == 12.5


def test_after_the_end_nobody_gets_the_database_any_more(path: Path) -> None:
    async def close(shelf: OutboxQueue) -> None:
        put(shelf, 1)
        await shelf.close()
        put(shelf, 2)
        late = [asyncio.create_task(shelf.commit()), asyncio.create_task(shelf.read([1]))]
        done, _ = await asyncio.wait(late, timeout=0.1)
        assert not done
        for task in late:
            task.cancel()

    assert run(path, close).captured == 1
    assert OutboxDatabase(path).entries()[0].seq == 1


def test_faces_are_committed_in_groups_and_told_of_in_order(path: Path) -> None:
    told: list[int] = []

    def tell(entry: OutboxEntry, picture: OutboxPicture) -> None:
        assert picture == face(entry.seq)[1]
        told.append(entry.seq)

    async def add(shelf: OutboxQueue) -> None:
        shelf.on_kept = tell
        for seq in range(1, 51):
            put(shelf, seq)
        assert told == []
        await shelf.commit()
        assert told == list(range(1, 51))

    assert run(path, add).state()["commits"] == 1


def test_commits_that_the_database_has_forgotten_are_counted(path: Path, tmp_path: Path) -> None:
    """Its log was cut, and it is whole: only the second place of the books knows better."""
    left = tmp_path / "left" / "camera-0.db"

    async def add(shelf: OutboxQueue) -> None:
        for seq in range(1, 21):
            put(shelf, seq)
            await shelf.commit()
        shelf.settle(shelf.entries[3], accounting.confirm)
        await shelf.commit()
        left.parent.mkdir()
        copy(path, left)
        left.with_suffix(".books").write_bytes(path.with_suffix(".books").read_bytes())

    run(path, add)
    log = Path(f"{left}-wal")
    os.truncate(log, log.stat().st_size // 2)
    found = run(left, nothing).figures()
    assert found["captured"] == 20
    assert found["waiting"] == len(OutboxDatabase(left).entries())
    assert 5 < found["dropped"]["damaged"] == 20 - found["waiting"] < 15


def test_what_was_saved_from_damage_is_given_out_at_once(path: Path) -> None:
    """Not counted as lost for having been asked for when the damage was found."""
    path.parent.mkdir()
    fill(path, 300, size=20_000)
    gone: list[int] = []

    async def read(shelf: OutboxQueue) -> None:
        shelf.on_gone = lambda entry: gone.append(entry.seq)
        await shelf.read([1])
        pages = path.stat().st_size // 4096
        overwrite(path, pages // 2 * 4096, os.urandom(20 * 4096))
        found = await shelf.read(list(range(1, 301)))
        lost = {seq for seq, picture in found.items() if picture is None}
        assert 0 < len(lost) < 20
        assert all(found[seq] == face(seq, 20_000)[1] for seq in found.keys() - lost)
        assert set(gone) <= lost

    run(path, read)


def test_a_rescue_that_was_interrupted_is_ended_by_the_next_run(path: Path) -> None:
    path.parent.mkdir()
    fill(path.with_suffix(".rescued"), 5)
    assert run(path, nothing).waiting == 5
    assert not path.with_suffix(".rescued").exists()
    # One that was not complete is begun again: the damaged one is still in its place.
    fill(path.with_suffix(".rescued"), 2)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE books SET json = '{'")
    assert run(path, nothing).waiting == 5
    assert path.with_suffix(".damaged").exists()


def test_faces_of_a_database_that_cannot_be_read_at_all_are_counted(path: Path) -> None:
    path.parent.mkdir()
    fill(path, 5)
    assert run(path, nothing).waiting == 5
    overwrite(path, 0, os.urandom(4096))
    found = run(path, nothing).figures()
    assert (found["captured"], found["waiting"], found["dropped"]["damaged"]) == (5, 0, 5)
    assert path.with_suffix(".damaged").exists()


def test_a_second_one_is_refused(path: Path) -> None:
    async def second(_: OutboxQueue) -> None:
        with pytest.raises(SettingsError, match="another detector uses"):
            await OutboxQueue(path, Accounts(), LARGE, 7, Service()).open()

    run(path, second)


def test_stopped_before_it_could_open_it_ends_without_fault(path: Path) -> None:
    async def main() -> None:
        service = Service()
        service.stopping.set()
        shelf = OutboxQueue(path, Accounts(), LARGE, 7, service)
        await shelf.open()
        put(shelf, 1)
        await shelf.close()

    asyncio.run(main())
    assert not path.exists()
