"""The outbox as the event loop sees it: an index in memory, pictures on disk, exact accounts.

Changes are committed in groups: faces and the accounts that count them, in one transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from common.protocol import clock
from common.runtime.health import Health
from common.runtime.logs import StateLogger
from common.runtime.workers import Workers
from common.service import Service
from detector.outbox import accounting, age
from detector.outbox.accounting import Accounts
from detector.outbox.counter_file import pick_latest
from detector.outbox.database import Damaged, OutboxChange, OutboxEntry, OutboxPicture, Unwritable
from detector.outbox.files import OutboxFiles

log = logging.getLogger(__name__)
T = TypeVar("T")

REOPEN = 5.0  # seconds between tries to open, or to read
RETRY = 1.0  # seconds between tries to commit what was refused
LAZY = 0.25  # seconds that a change without new faces may wait for others: fewer fsyncs
TIDY = 10.0  # seconds between checks for faces that are too old, when nothing else happens
PENDING_MAX = 32 * 1024 * 1024  # bytes in memory while the disk is slow


class OutboxQueue:
    """`await open()`, then run `keep()` as a task. Calls `on_kept` with each committed face."""

    def __init__(
        self,
        path: Path,
        accounts: Accounts,
        max_bytes: int,
        max_days: float,
        service: Service,
        health: Health | None = None,
    ) -> None:
        """`health` is the camera's own part of the service's."""
        self._files = OutboxFiles(path)
        self._accounts = accounts
        self._max_bytes = max_bytes
        self._max_age = max_days * 86_400
        self._service = service
        self._health = health or service.health
        self._worker = Workers("outbox")
        self._trouble = StateLogger(log, f"outbox {path}")
        self._ready = False  # the index shows what the database holds
        self._change = OutboxChange()
        self._events: list[accounting.Event] = []
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()  # a new face, which is not sent before it is committed
        self._pending = 0  # bytes of faces that are not committed yet
        self._seq = 0
        self._using = asyncio.Lock()
        self.on_kept: Callable[[OutboxEntry, OutboxPicture], None] = lambda *_: None
        self.on_gone: Callable[[OutboxEntry], None] = lambda *_: None
        self.entries: OrderedDict[int, OutboxEntry] = (
            OrderedDict()
        )  # committed, oldest first, by seq
        self.bytes = 0

    async def open(self) -> None:
        """Open the database; a damaged one is set aside and replaced by what can be read of it.

        Raises:
            SettingsError: the folder cannot be used, or another detector or version uses it.
        """
        while not self._service.stopping.is_set():
            try:
                await self._open()
            except Unwritable as error:
                self._on_failure(error, "nothing is captured until this is fixed")
                await self._service.pause(REOPEN)
            else:
                self._on_success()
                return

    async def _open(self) -> None:
        saved = self._files.lock()
        try:
            entries, kept = await self._worker.run(self._files.load)
        except Damaged as error:
            await self._replace_damaged(str(error), saved)
        else:
            self._start(entries, pick_latest(saved, kept))
            self._files.save(self._accounts.state())
            if entries:
                log.info(
                    "%d faces from earlier runs are waiting in %s", len(entries), self._files.path
                )
        self._ready = True

    def _start(self, entries: list[OutboxEntry], state: dict[str, Any] | None) -> None:
        """Begin with the contents of the database, and reconcile the accounts with them."""
        self._accounts.load(state)
        self.entries.clear()
        self.bytes = 0
        self._take(entries)
        lost = self._accounts.reconcile(len(entries))
        if lost:
            log.error("%d faces are missing from %s (damaged)", lost, self._files.path)

    def _take(self, entries: Iterable[OutboxEntry]) -> None:
        for entry in entries:
            self.entries[entry.seq] = entry
            self.bytes += entry.size
            self._seq = max(self._seq, entry.seq)

    async def _replace_damaged(self, why: str, counters: dict[str, Any] | None = None) -> None:
        """Continue with a new database of everything that can be read from the damaged one."""
        path, aside = self._files.path, self._files.aside
        log.error("the outbox %s is damaged (%s); moved it to %s", path, why, aside)
        wanted = frozenset(self.entries) if self._ready else None
        saved, kept = await self._worker.run(self._files.rescue, wanted)
        if self._ready:
            self._lose(set(self.entries).difference(entry.seq for entry in saved))
        else:
            self._start(saved, pick_latest(counters, kept))
        await self._worker.run(self._files.replace, self._accounts.state())
        self._files.save(self._accounts.state())
        log.error("recovered %d faces from %s", len(saved), aside)

    def _lose(self, seqs: Iterable[int]) -> None:
        """Drop waiting faces that can no longer be read."""
        for seq in seqs:
            entry = self.entries.pop(seq)
            self.bytes -= entry.size
            self._accounts.write(accounting.drop("damaged"))
            self.on_gone(entry)

    def add(self, id: str, sha256: str, picture: OutboxPicture, wall: float) -> None:
        """Add a face; once it is on the disk it is counted, and `on_kept` is called."""
        self._seq += 1
        size = len(picture.png)
        # The clock may have been set since the frame was captured.
        wall = min(wall, clock.from_rfc3339(picture.facts["captured"]))
        entry = OutboxEntry(
            self._seq, id, sha256, size, age.BOOT, age.monotonic_seconds(), wall, False
        )
        if self._pending + size > PENDING_MAX:
            self._events += [accounting.capture, accounting.drop("disk_slow")]
        else:
            self._pending += size
            self._change.added.append((entry, picture))
        self._wanted.set()
        self._urgent.set()

    def note(self, event: accounting.Event) -> None:
        """Count an event with the next commit."""
        self._events.append(event)

    def oldest(self) -> float | None:
        """Age of the oldest waiting face, in seconds."""
        for entry in self.entries.values():
            return age.age_of(entry.boot, entry.ticks, entry.wall)
        return None

    def settle(self, entry: OutboxEntry, event: accounting.Event) -> None:
        """Remove a waiting face whose outcome is known; `event` counts it."""
        if self.entries.pop(entry.seq, None) is None:
            return
        self.bytes -= entry.size
        self._change.removed.append(entry.seq)
        self._events.append(event)
        self._wanted.set()

    async def finish(self, entry: OutboxEntry, facts: dict[str, str]) -> bool:
        """Save the facts that a face will be published with, before it is published.

        False if they could not be saved: the face must not be published then.
        """
        self._change.finals.append((entry.seq, facts))
        await self.commit()
        done = entry.seq in self.entries and self.entries[entry.seq].final
        if not done:
            await asyncio.sleep(RETRY)  # the caller will try again
        return done

    async def read(self, seqs: list[int]) -> dict[int, OutboxPicture | None]:
        """Pictures of waiting faces by seq; None for one that is damaged or no longer waits."""
        while True:
            async with self._using:
                try:
                    return await self._run_safely(self._files.read, seqs)
                except Unwritable as error:
                    self._on_failure(error, "nothing is sent until this is fixed")
            await asyncio.sleep(REOPEN)

    async def _run_safely(self, call: Callable[..., T], *args: Any) -> T:
        """Call in the worker, and once more if the database had to be replaced."""
        try:
            return await self._worker.run(call, *args)
        except Damaged as error:
            await self._replace_damaged(str(error))
            return await self._worker.run(call, *args)

    @property
    def pending(self) -> bool:
        """Whether anything is not committed yet."""
        return bool(self._change) or self._using.locked()

    def has_room(self, share: float) -> bool:
        """Whether less than `share` of the room for faces is taken."""
        return self.bytes <= self._max_bytes * share and len(self._change.added) < 100

    async def keep(self) -> None:
        """Commit changes as they come, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIDY):
                    await self._wanted.wait()
            if self._wanted.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAZY):
                        await self._urgent.wait()
            self._wanted.clear()
            self._urgent.clear()
            await self.commit()

    async def commit(self) -> None:
        """Commit all changes now."""
        async with self._using:
            if not self._ready:
                return
            self._make_room()
            change, self._change = self._change, OutboxChange()
            events, self._events = self._events, []
            if change or events:
                await self._commit(change, events)
                self._pending -= change.size
                self._files.save(self._accounts.state())

    async def _commit(self, change: OutboxChange, events: list[accounting.Event]) -> None:
        """Commit a change, or as much of it as the disk takes."""
        try:
            await self._write(change, events)
        except Unwritable as error:
            self._on_failure(error, "new faces are lost until this is fixed")
            for _ in change.added:
                self._accounts.write(accounting.capture, accounting.drop(error.reason))
            if change.added:
                # Faces that leave make room, and may fit where new ones do not.
                await self._commit(OutboxChange([], change.removed, change.finals), events)
            else:
                self._change.removed[:0] = change.removed
                self._events[:0] = events
                asyncio.get_running_loop().call_later(RETRY, self._wanted.set)

    async def _write(self, change: OutboxChange, events: list[accounting.Event]) -> None:
        events = [accounting.capture] * len(change.added) + events
        await self._run_safely(
            lambda: self._files.commit(change, self._accounts.state_after(events))
        )
        self._accounts.commit(events)
        for seq, _ in change.finals:
            if seq in self.entries:
                self.entries[seq] = dataclasses.replace(self.entries[seq], final=True)
        for entry, picture in change.added:
            self._take([entry])
            self.on_kept(entry, picture)
        if change.added:
            self._on_success()

    def _make_room(self) -> None:
        """Drop the oldest faces beyond the limits of bytes and age."""
        coming = self._change.size
        while self.entries:
            oldest = next(iter(self.entries.values()))
            full = self.bytes + coming > self._max_bytes
            if not full and age.age_of(oldest.boot, oldest.ticks, oldest.wall) <= self._max_age:
                return
            self.settle(oldest, accounting.drop("full" if full else "old"))
            self.on_gone(oldest)

    def _on_failure(self, error: Unwritable, meaning: str) -> None:
        self._trouble.begin(error.reason, f"{error}; {meaning}")
        self._health.check("outbox", error.reason)

    def _on_success(self) -> None:
        if self._trouble.reason is not None:
            self._trouble.end("stores faces again")
        self._health.check("outbox", None)

    async def close(self) -> None:
        """Commit all changes, and close the database."""
        await self.commit()
        # Never released: whoever needs the database after this waits until the process ends.
        await self._using.acquire()
        if self._ready:
            await self._worker.run(self._files.close)
