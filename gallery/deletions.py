"""Deleting: a selection, what it comes to, and the job that does it."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import secrets
import time
from collections.abc import Iterator
from typing import Any

from common.backoff import Backoff
from common.cos.errors import StoreError
from common.workers import Workers
from gallery import filters, metrics, records
from gallery.bucket import BATCH, Bucket
from gallery.entries import Entry
from gallery.filters import Filter
from gallery.index import Index
from gallery.live import Hub
from gallery.standing import Standing
from gallery.thumbs import Thumbs

log = logging.getLogger(__name__)

TRIES = 6  # of one batch, with pauses that grow
REMEMBERED = 50  # jobs


class Changed(Exception):
    """The selection has become another since it was confirmed; `count`: what it comes to now."""

    def __init__(self, count: int) -> None:
        super().__init__(f"it comes to {count} now")
        self.count = count


@dataclasses.dataclass(frozen=True)
class Selection:
    """Some entries by their refs, or all that a filter asks for: not both."""

    refs: tuple[str, ...] = ()
    filter: Filter | None = None

    def until(self, added: int) -> Selection:
        """Without what has been added since (unix milliseconds)."""
        if self.filter is None:
            return self
        return Selection(filter=dataclasses.replace(self.filter, added=added))


@dataclasses.dataclass
class Job:
    """state: running, done or failed; `failed`: objects that are still there, by reason."""

    id: str
    by: str
    what: str
    total: int
    done: int = 0
    state: str = "running"
    failed: dict[str, int] = dataclasses.field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Deletions:
    """From the event loop, but for what says otherwise."""

    def __init__(
        self,
        index: Index,
        bucket: Bucket,
        thumbs: Thumbs,
        workers: Workers,
        hub: Hub,
        standing: Standing,
    ) -> None:
        self.jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._index = index
        self._bucket = bucket
        self._thumbs = thumbs
        self._workers = workers
        self._hub = hub
        self._standing = standing
        self._asked: asyncio.Queue[tuple[Job, Selection]] = asyncio.Queue()
        self._again: list[Entry] = []
        self._some_again = asyncio.Event()

    async def count(self, selection: Selection) -> tuple[int, int]:
        """How many entries, rejected ones included, and the time (unix ms) that this is true of."""
        now = time.time_ns() // 1_000_000
        return await self._workers.run(self._count, selection.until(now)), now

    def _count(self, selection: Selection) -> int:
        if selection.filter is None:
            return sum(self._index.entry(ref) is not None for ref in set(selection.refs))
        return sum(self._index.count(one) for one in _both(selection.filter))

    async def start(
        self, selection: Selection, by: str, what: str, expected: int, added: int
    ) -> Job:
        """Delete what `count` said: so many, as it was at that time.

        Raises:
            Changed: they are others now, such as when some are gone.
        """
        selection = selection.until(added)
        count = await self._workers.run(self._count, selection)
        if count != expected:
            raise Changed(count)
        job = Job(secrets.token_hex(8), by, what, count)
        self.jobs[job.id] = job
        while len(self.jobs) > REMEMBERED:
            self.jobs.popitem(last=False)
        self._asked.put_nowait((job, selection))
        return job

    def entries(self, selection: Selection) -> Iterator[list[Entry]]:
        """What is selected, in lots. In a worker."""
        if selection.filter is None:
            refs = list(dict.fromkeys(selection.refs))
            for start in range(0, len(refs), BATCH):
                found = (self._index.entry(ref) for ref in refs[start : start + BATCH])
                yield [entry for entry in found if entry is not None]
            return
        for one in _both(selection.filter):
            after: str | None = None
            while True:
                page = self._index.page(one, "newest", after, BATCH)
                yield page.entries
                after = page.next
                if after is None:
                    break

    async def keep_working(self) -> None:
        """Do the jobs, one after the other."""
        while True:
            job, selection = await self._asked.get()
            lots = self.entries(selection)
            try:
                while (lot := await self._workers.run(next, lots, None)) is not None:
                    await self._delete(job, lot)
            except StoreError as error:
                log.error("deleting for %s has ended early: %s (%s)", job.by, error, error.reason)
                job.failed[error.reason] = job.total - job.done
            job.state = "failed" if job.failed else "done"
            log.info("%s deleted %d objects: %s", job.by, job.done, job.what)
            self._hub.publish("job", job.facts())

    async def _delete(self, job: Job, lot: list[Entry]) -> None:
        if not lot:
            return
        copies = await self._workers.run(self._index.of_ids, [entry.id for entry in lot])
        refs = {entry.ref for entry in lot}
        gone = lot + [entry for entry in copies if entry.ref not in refs]
        await self._tried(records.write, self._bucket, self._index, job.id, job.by, job.what, gone)
        failed = await self._tried(self._bucket.delete, [entry.key for entry in gone])
        for reason in failed.values():
            job.failed[reason] = job.failed.get(reason, 0) + 1
        deleted = [entry for entry in gone if entry.key not in failed]
        await self.forget([entry.ref for entry in deleted])
        metrics.DELETED.labels("user").inc(len(deleted))
        job.done += sum(entry.ref in refs for entry in deleted)
        self._hub.publish("job", job.facts())

    async def _tried(self, call: Any, *args: Any) -> Any:
        """Raises StoreError after some tries, or at once where another would be in vain."""
        backoff = Backoff(first=0.5)
        for attempt in range(TRIES):
            try:
                result = await self._workers.run(call, *args)
            except StoreError as error:
                self._standing.failed(error)
                if attempt == TRIES - 1 or error.reason in ("denied", "refused", "no_bucket"):
                    raise
                await asyncio.sleep(backoff.next())
            else:
                self._standing.worked()
                return result
        raise AssertionError("the last try returns or raises")

    async def forget(self, refs: list[str]) -> None:
        """Of what is gone from the bucket, nothing stays here."""
        await self._workers.run(self._index.remove, refs)
        await self._workers.run(self._thumbs.forget, refs)
        self._tell_gone(refs)

    def vanished(self, refs: list[str]) -> None:
        """These have gone from the bucket, and from the index, by themselves."""
        self._workers.run(self._thumbs.forget, refs)
        self._tell_gone(refs)

    def _tell_gone(self, refs: list[str]) -> None:
        for start in range(0, len(refs), BATCH):
            self._hub.publish("gone", {"refs": refs[start : start + BATCH]})

    def again(self, entries: list[Entry]) -> None:
        """These were deleted before, and have come once more."""
        self._again += entries
        self._some_again.set()

    async def keep_clean(self) -> None:
        """Delete what has come once more. What fails is found again by the next listing."""
        while True:
            await self._some_again.wait()
            self._some_again.clear()
            entries, self._again = self._again, []
            try:
                failed = await self._tried(self._bucket.delete, [one.key for one in entries])
            except StoreError as error:
                log.warning("%d objects that were deleted are here once more, and stay for now: %s",
                            len(entries), error)  # fmt: skip
                continue
            metrics.DELETED.labels("again").inc(len(entries) - len(failed))
            log.info("deleted %d objects that had been sent once more", len(entries) - len(failed))


def _both(asked: Filter) -> list[Filter]:
    """A filter of faces, and the same of rejected objects, which know no camera."""
    if asked.kind == filters.REJECTED or asked.camera is not None:
        return [asked]
    return [asked, dataclasses.replace(asked, kind=filters.REJECTED)]
