"""The outbox on a disk that takes nothing for a while: every face is kept, or counted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from common.service import Service
from detector.outbox import accounting, queue
from detector.outbox.accounting import Accounts
from detector.outbox.database import OutboxDatabase
from detector.outbox.queue import OutboxQueue
from testing.host.disk import refusing_beyond
from testing.services.outbox import face, fill, overwrite

LARGE = 100 << 20
COUNTERS = 2 * 4096  # bytes of the counter file, which never grows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "camera-0.db"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "RETRY", 0.01)
    monkeypatch.setattr(queue, "REOPEN", 0.01)


class Outbox:
    """A queue, what it counts, and what it says of its health."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.accounts = Accounts()
        self.service = Service()
        self.queue = OutboxQueue(path, self.accounts, LARGE, 7, self.service)

    def put(self, seq: int) -> None:
        entry, picture = face(seq)
        self.queue.add(entry.id, entry.sha256, picture, entry.wall)

    @property
    def trouble(self) -> str | None:
        return self.service.health.reasons().get("outbox")

    async def comes_into_trouble(self) -> None:
        async with asyncio.timeout(10):
            while self.trouble is None:
                await asyncio.sleep(0.01)

    def full(self) -> int:
        """The size beyond which nothing more can be committed."""
        return max(COUNTERS, self.path.with_name(f"{self.path.name}-wal").stat().st_size)


def run(path: Path, work: Callable[[Outbox], Coroutine[Any, Any, None]]) -> dict[str, Any]:
    """Open an outbox, do `work` and close it; the figures at its end."""

    async def main() -> dict[str, Any]:
        outbox = Outbox(path)
        await outbox.queue.open()
        await work(outbox)
        await outbox.queue.close()
        return outbox.accounts.figures()

    return asyncio.run(main())


def test_a_face_that_the_disk_refuses_is_counted_and_one_with_a_receipt_leaves_later(
    path: Path,
) -> None:
    async def work(outbox: Outbox) -> None:
        outbox.put(1)
        await outbox.queue.commit()
        with refusing_beyond(outbox.full()):
            outbox.put(2)
            outbox.queue.settle(outbox.queue.entries[1], accounting.confirm)
            await outbox.queue.commit()
            assert outbox.trouble == "disk_failed"
            assert outbox.accounts.figures()["confirmed"] == 0  # not before it is written down
        outbox.put(3)
        await outbox.queue.commit()
        assert outbox.trouble is None

    found = run(path, work)
    assert (found["captured"], found["confirmed"], found["waiting"]) == (3, 1, 1)
    assert found["dropped"] == {"disk_failed": 1}
    assert [entry.seq for entry in OutboxDatabase(path).entries()] == [3]


def test_a_corrected_time_that_cannot_be_saved_is_not_for_publication(path: Path) -> None:
    async def work(outbox: Outbox) -> None:
        outbox.put(1)
        await outbox.queue.commit()
        entry = outbox.queue.entries[1]
        corrected = {**face(1)[1].facts, "clock": "corrected"}
        with refusing_beyond(outbox.full()):
            assert not await outbox.queue.finish(entry, corrected)
        assert await outbox.queue.finish(entry, corrected)
        picture = (await outbox.queue.read([1]))[1]
        assert picture is not None
        assert picture.facts == corrected

    assert run(path, work)["waiting"] == 1


def test_faces_that_come_faster_than_the_disk_takes_them_are_counted_as_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PENDING_MAX", 10 * 2000)  # bytes of ten faces

    async def work(outbox: Outbox) -> None:
        for seq in range(1, 16):
            outbox.put(seq)
        await outbox.queue.commit()
        outbox.put(16)  # there is room again

    found = run(path, work)
    assert (found["captured"], found["waiting"], found["dropped"]) == (16, 11, {"disk_slow": 5})


def test_an_outbox_that_cannot_be_made_yet_is_opened_once_the_disk_takes_it(path: Path) -> None:
    async def main() -> dict[str, Any]:
        outbox = Outbox(path)
        with refusing_beyond(COUNTERS):
            opening = asyncio.create_task(outbox.queue.open())
            await outbox.comes_into_trouble()
            outbox.put(1)
            await outbox.queue.commit()
            assert not opening.done()
        await opening
        assert outbox.trouble is None
        await outbox.queue.close()
        return outbox.accounts.figures()

    found = asyncio.run(main())
    assert (found["captured"], found["waiting"]) == (1, 1)


def test_a_damaged_outbox_on_a_full_disk_is_read_once_there_is_room_for_its_rescue(
    path: Path,
) -> None:
    fill(path, 300, size=20_000)

    async def work(outbox: Outbox) -> None:
        await outbox.queue.read([1])
        pages = path.stat().st_size // 4096
        overwrite(path, pages // 2 * 4096, os.urandom(20 * 4096))
        with refusing_beyond(10 * 4096):
            reading = asyncio.create_task(outbox.queue.read(list(range(1, 301))))
            await outbox.comes_into_trouble()
            assert not reading.done()
            assert path.exists()
        found = await reading
        whole = [seq for seq, picture in found.items() if picture == face(seq, 20_000)[1]]
        assert 280 < len(whole) < 300
        assert [seq for seq, picture in found.items() if picture is None] == sorted(
            set(range(1, 301)) - set(whole)
        )

    found = run(path, work)
    assert found["captured"] == 300 == found["waiting"] + found["dropped"]["damaged"]
