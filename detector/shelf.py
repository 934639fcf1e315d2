"""The outbox as the event loop sees it: an index in memory, pictures on disk, books that balance.

Changes are committed in groups: while one commit is on its way to the disk, the next gathers. The
books change with the commit that makes them true, in the same transaction, so that `kill -9` finds
both as they were before it or as they are after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from common.logs import Trouble
from common.service import Service
from common.settings import SettingsError
from common.workers import Workers
from detector import age, books
from detector.books import Books
from detector.ledger import Ledger
from detector.outbox import Change, Damaged, Entry, Outbox, Picture, Unwritable, salvage

log = logging.getLogger(__name__)

REOPEN = 5.0  # seconds between tries to open
LAZY = 0.25  # seconds that a change without new faces may wait for company: fewer fsyncs
PENDING_MAX = 32 * 1024 * 1024  # bytes in memory while the disk takes its time
SALVAGED_AT_A_TIME = 100  # faces per commit


class Shelf:
    """Use: `await open()`, run `keep()` as a task; `on_kept` is told of each committed face."""

    def __init__(
        self, path: Path, own_books: Books, max_bytes: int, max_days: float, service: Service
    ) -> None:
        self._path = path
        self._books = own_books
        self._max_bytes = max_bytes
        self._max_age = max_days * 86_400
        self._service = service
        self._worker = Workers("outbox")
        self._trouble = Trouble(log, f"outbox {path}")
        self._outbox: Outbox
        self._ledger: Ledger
        self._change = Change()
        self._events: list[books.Entry] = []
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()  # a new face, which is not sent before it is committed
        self._pending = 0  # bytes of faces that are not committed yet
        self._seq = 0
        self._using = asyncio.Lock()
        self.on_kept: Callable[[Entry, Picture], None] = lambda *_: None
        self.on_gone: Callable[[Entry], None] = lambda *_: None
        self.entries: OrderedDict[int, Entry] = OrderedDict()  # committed, oldest first, by seq
        self.bytes = 0

    async def open(self) -> None:
        """Open the database, or set a damaged one aside and begin anew with what can be read.

        Raises:
            SettingsError: the folder cannot be used, or another detector uses it.
        """
        self._lock()
        self._ledger = Ledger(self._path.with_suffix(".books"))
        while not self._service.stopping.is_set():
            try:
                await self._open()
            except Unwritable as error:
                self._trouble.begin(
                    error.reason, f"{error}; nothing is captured until it is mended"
                )
                self._service.health.check("outbox", error.reason)
                await self._service.pause(REOPEN)
            else:
                self._service.health.check("outbox", None)
                return

    def _lock(self) -> None:
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._locked = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"OUTBOX_PATH: another detector has {self._path}: set another CAMERA_NAME"
            raise SettingsError([text]) from None
        except OSError as error:
            text = f"OUTBOX_PATH={folder} cannot be written: {error.strerror}"
            raise SettingsError([text]) from None

    async def _open(self) -> None:
        try:
            self._outbox, entries, kept = await self._worker.run(self._load)
        except Damaged as error:
            self._books.load(self._ledger.last)
            await self._begin_anew(str(error))
            return
        self._books.load(_newer(self._ledger.last, kept))
        self._take(entries)
        self._balance(len(entries))
        self._write_ledger()
        if entries:
            log.info("%d faces of earlier runs wait in the outbox %s", len(entries), self._path)

    def _load(self) -> tuple[Outbox, list[Entry], dict[str, Any] | None]:
        outbox = Outbox(self._path)
        try:
            return outbox, outbox.entries(), outbox.books()
        except (Damaged, Unwritable):
            outbox.close()
            raise

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.entries[entry.seq] = entry
            self.bytes += entry.size
            self._seq = max(self._seq, entry.seq)

    def _balance(self, found: int) -> None:
        """What should wait and is not there is lost, and said to be."""
        lost = self._books.waiting - found
        if lost > 0:
            log.error("%d faces are no longer in the outbox %s (damaged)", lost, self._path)
            self._books.write(books.drop("damaged", lost))
        elif lost < 0:
            self._books.write(books.found(-lost))

    async def _begin_anew(self, why: str) -> None:
        aside = self._path.with_suffix(f".damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        log.error("the outbox %s is damaged (%s); it is set aside as %s", self._path, why, aside)
        self.entries.clear()
        self.bytes = 0
        removed = set(self._change.removed)
        await self._worker.run(self._replace, aside)
        saved = 0
        batches = _batches(salvage(aside), removed)
        while batch := await self._worker.run(next, batches, []):
            await self._worker.run(self._outbox.commit, Change(added=batch), self._books.state())
            self._take(entry for entry, _ in batch)
            for entry, picture in batch:
                self.on_kept(entry, picture)
            saved += len(batch)
        # What is about to be removed is neither saved nor lost: its fate is known.
        self._balance(saved + len(removed))
        log.error("%d faces were saved from %s", saved, aside)
        self._write_ledger()

    def _replace(self, aside: Path) -> None:
        if hasattr(self, "_outbox"):
            self._outbox.close()
        for suffix in ("", "-wal", "-shm"):
            part = Path(f"{self._path}{suffix}")
            if part.exists():
                part.rename(f"{aside}{suffix}")
        self._outbox = Outbox(self._path)

    def add(self, id: str, sha256: str, picture: Picture, wall: float) -> None:
        """Keep a face; once it is on the disk, it is counted and `on_kept` is told."""
        self._seq += 1
        size = len(picture.png)
        entry = Entry(self._seq, id, sha256, size, age.BOOT, age.ticks(), wall, False)
        if self._pending + size > PENDING_MAX:
            self._books.write(books.capture, books.drop("disk_slow"))
            return
        self._pending += size
        self._change.added.append((entry, picture))
        self._events.append(books.capture)
        self._wanted.set()
        self._urgent.set()

    def note(self, event: books.Entry) -> None:
        """Write something into the books with the next commit."""
        self._events.append(event)

    def oldest(self) -> float | None:
        """Age of the oldest waiting face, in seconds."""
        for entry in self.entries.values():
            return age.of(entry.boot, entry.ticks, entry.wall)
        return None

    def settle(self, entry: Entry, event: books.Entry) -> None:
        """The fate of a waiting face is known; `event` writes it into the books."""
        if self.entries.pop(entry.seq, None) is None:
            return
        self.bytes -= entry.size
        self._change.removed.append(entry.seq)
        self._events.append(event)
        self._wanted.set()

    async def finish(self, entry: Entry, facts: dict[str, str]) -> bool:
        """Fix the facts that a face is published with, on the disk, before it is published.

        False when the disk did not take them: it must not be published then.
        """
        self._change.finals.append((entry.seq, facts))
        await self.commit()
        return entry.seq in self.entries and self.entries[entry.seq].final

    async def read(self, seqs: list[int]) -> dict[int, Picture | None]:
        """Pictures of waiting faces; None for one that is damaged."""
        async with self._using:
            try:
                return await self._worker.run(self._outbox.read, seqs)
            except Damaged as error:
                await self._begin_anew(str(error))
                return dict.fromkeys(seqs)

    @property
    def pending(self) -> bool:
        """Whether something has not been committed yet."""
        return bool(self._change) or self._using.locked()

    def has_room(self, share: float) -> bool:
        return self.bytes <= self._max_bytes * share and len(self._change.added) < 100

    async def keep(self) -> None:
        """Commit what has gathered, again and again."""
        while True:
            await self._wanted.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAZY):
                    await self._urgent.wait()
            self._wanted.clear()
            self._urgent.clear()
            await self.commit()

    async def commit(self) -> None:
        """Commit what has gathered, now."""
        async with self._using:
            self._make_room()
            change, self._change = self._change, Change()
            events, self._events = self._events, []
            self._pending = 0
            if change:
                await self._commit(change, events)
                self._write_ledger()

    async def _commit(self, change: Change, events: list[books.Entry]) -> None:
        try:
            await self._worker.run(self._outbox.commit, change, self._books.after(events))
        except Unwritable as error:
            self._refused(change, events, error)
        except Damaged as error:
            # Nothing of it was kept: what has gathered since comes behind it.
            self._change = change.followed_by(self._change)
            self._events = events + self._events
            await self._begin_anew(str(error))
            self._wanted.set()
        else:
            self._books.become(events)
            self._committed(change)

    def _committed(self, change: Change) -> None:
        self._take(entry for entry, _ in change.added)
        for seq, _ in change.finals:
            if seq in self.entries:
                self.entries[seq] = dataclasses.replace(self.entries[seq], final=True)
        for entry, picture in change.added:
            self.on_kept(entry, picture)
        if self._trouble.reason is not None:
            self._trouble.end("keeps faces again")
            self._service.health.check("outbox", None)

    def _make_room(self) -> None:
        """Drop the oldest beyond the bounds of bytes and age."""
        coming = sum(entry.size for entry, _ in self._change.added)
        while self.entries and self.bytes + coming > self._max_bytes:
            self._drop_oldest("full")
        while self.entries:
            oldest = next(iter(self.entries.values()))
            if age.of(oldest.boot, oldest.ticks, oldest.wall) <= self._max_age:
                return
            self._drop_oldest("old")

    def _drop_oldest(self, reason: str) -> None:
        oldest = next(iter(self.entries.values()))
        self.settle(oldest, books.drop(reason))
        self.on_gone(oldest)

    def _refused(self, change: Change, events: list[books.Entry], error: Unwritable) -> None:
        """The disk takes nothing: new faces are lost, and counted; removing is tried again."""
        self._trouble.begin(error.reason, f"{error}; new faces are lost until it is mended")
        self._service.health.check("outbox", error.reason)
        for _ in change.added:
            self._books.write(books.capture, books.drop(error.reason))
        self._change = Change(removed=change.removed).followed_by(self._change)
        self._events = [event for event in events if event is not books.capture] + self._events

    def _write_ledger(self) -> None:
        try:
            self._ledger.write(self._books.state())
        except OSError as error:
            log.error("the books' second place cannot be written: %s", error)

    async def close(self) -> None:
        """Commit what has gathered, and close."""
        await self.commit()
        async with self._using:
            await self._worker.run(self._outbox.close)
            self._ledger.close()


def _newer(ledger: dict[str, Any] | None, kept: dict[str, Any] | None) -> dict[str, Any] | None:
    """The books of the latest commit; of the same commit, the ledger knows what came after it."""
    if ledger is None or kept is None:
        return ledger or kept
    return kept if kept["commits"] > ledger["commits"] else ledger


def _batches(
    found: Iterable[tuple[Entry, Picture]], without: set[int]
) -> Iterator[list[tuple[Entry, Picture]]]:
    batch: list[tuple[Entry, Picture]] = []
    for entry, picture in found:
        if entry.seq not in without:
            batch.append((entry, picture))
        if len(batch) == SALVAGED_AT_A_TIME:
            yield batch
            batch = []
    if batch:
        yield batch
