"""Deleting: what a selection comes to, and doing it, until it is done."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from common.runtime.backoff import Backoff
from common.runtime.workers import Workers
from common.store.base import ObjectStore, StoreError
from common.store.s3.store import BATCH
from gallery import metrics
from gallery.deletion import jobs, records
from gallery.deletion.jobs import Job, Selection
from gallery.index import query
from gallery.index.index import Index
from gallery.index.model import Entry, name_visit
from gallery.index.query import Filter
from gallery.live import EventHub
from gallery.store_health import StoreHealth
from gallery.thumbnails.thumbnails import Thumbnails

log = logging.getLogger(__name__)

T = TypeVar("T")

HOPELESS = ("denied", "refused", "no_bucket")  # reasons for which another try would be in vain
REMEMBERED = 50  # jobs that are over
WAITING = 200  # jobs that are not
AGAIN_EVERY = 300.0  # seconds between two tries to delete what has come once more


class Changed(Exception):
    """The selection has changed since it was confirmed; `count`: its objects now."""

    def __init__(self, count: int) -> None:
        super().__init__(f"it now has {count} objects")
        self.count = count


class Deletions:
    """Call it from the event loop only, except where a method says otherwise."""

    def __init__(
        self,
        index: Index,
        bucket: ObjectStore,
        thumbs: Thumbnails,
        workers: Workers,
        hub: EventHub,
        standing: StoreHealth,
    ) -> None:
        self.jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._index = index
        self._bucket = bucket
        self._thumbs = thumbs
        self._workers = workers
        self._hub = hub
        self._standing = standing
        self._asked: asyncio.Queue[tuple[Job, Selection]] = asyncio.Queue()
        self._listed = asyncio.Event()
        self._again: list[Entry] = []
        self._some_again = asyncio.Event()

    async def count(self, selection: Selection) -> tuple[int, int, Selection]:
        """How many objects, rejected ones included, the time (unix ms) that this is true of, and
        the selection as it was then, `named`."""
        now = time.time_ns() // 1_000_000
        named = await self.named(selection.until(now))
        return await self._workers.run(self._count, named), now, named

    async def named(self, selection: Selection) -> Selection:
        """The same by refs where it speaks of visits: an index that is rebuilt knows none until it
        reads the metadata again."""
        return await self._workers.run(self._name, selection)

    def _name(self, selection: Selection) -> Selection:
        if selection.visits:
            return Selection(tuple(self._index.whole_visits(selection.refs, selection.added)))
        if selection.filter is not None and selection.filter.visit is not None:
            return Selection(tuple(one.ref for lot in self.entries(selection) for one in lot))
        return selection

    def _count(self, selection: Selection) -> int:
        if selection.filter is None:
            return sum(len(lot) for lot in self.entries(selection))
        return sum(self._index.count(one) for one in _combine(selection.filter))

    async def start(self, selection: Selection, by: str, what: str, expected: int) -> Job:
        """Delete what `count` said: so many, as it was at that time; the selection `named`.

        Raises:
            Changed: they are others now, such as when some are gone.
            StoreError: it could not be written down, or too many wait.
        """
        count = await self._workers.run(self._count, selection)
        if count != expected:
            raise Changed(count)
        if sum(job.state == "running" for job in self.jobs.values()) >= WAITING:
            raise StoreError("slow_down", "too many deletions are waiting already")
        job = Job(secrets.token_hex(8), by, what, count)
        await self._workers.run(jobs.write, self._bucket, job, selection)
        self._take(job, selection)
        return job

    def _take(self, job: Job, selection: Selection) -> None:
        self.jobs[job.id] = job
        over = [one.id for one in self.jobs.values() if one.state != "running"]
        for id in over[: max(0, len(over) - REMEMBERED)]:
            del self.jobs[id]
        self._asked.put_nowait((job, selection))

    def entries(self, selection: Selection) -> Iterator[list[Entry]]:
        """What a `named` selection has, in lots; of faces chosen one by one, all copies.

        In a worker.
        """
        if selection.filter is None:
            refs = list(dict.fromkeys(selection.refs))
            for start in range(0, len(refs), BATCH):
                found = [self._index.entry(ref) for ref in refs[start : start + BATCH]]
                lot = [entry for entry in found if entry is not None]
                yield lot + [one for one in self._index.copies(lot) if one.ref not in refs]
            return
        for one in _combine(selection.filter):
            after: str | None = None
            while True:
                page = self._index.page(one, "newest", after, BATCH)
                yield page.entries
                after = page.next
                if after is None:
                    break

    def listed(self) -> None:
        """The index has been in step with the bucket: what was begun before can go on."""
        self._listed.set()

    async def keep_working(self) -> None:
        """Do the jobs, one after the other; first those that an earlier run has left."""
        await self._listed.wait()
        await self._take_up()
        while True:
            job, selection = await self._asked.get()
            try:
                await self._do(job, selection)
                await self._until_done(jobs.remove, self._bucket, job)
            except StoreError as error:
                log.error("the deletion by %s ended early: %s (%s)", job.by, error, error.reason)
                job.failed[error.reason] = max(1, job.total - job.done)
            job.state = "failed" if job.failed else "done"
            log.info("%s deleted %d objects: %s", job.by, job.done, job.what)
            self._hub.publish("job", job.facts())

    async def _take_up(self) -> None:
        try:
            left = await self._until_done(jobs.read_pending, self._bucket)
        except StoreError as error:
            log.error("cannot check for unfinished deletions: %s", error)
            return
        for job, selection in left:
            if job.id not in self.jobs:
                log.info("resuming the deletion by %s: %s", job.by, job.what)
                self._take(job, selection)

    async def _do(self, job: Job, selection: Selection) -> None:
        """All of it, again and again, until nothing of it is left.

        Raises:
            StoreError: another try would be in vain.
        """
        backoff = Backoff(first=0.5, cap=30.0)
        while True:
            lots = self.entries(selection)
            try:
                while (lot := await self._workers.run(next, lots, None)) is not None:
                    await self._delete(job, lot)
            except StoreError as error:
                self._standing.failed(error)
                if error.reason in HOPELESS:
                    raise
                await asyncio.sleep(backoff.next())
            else:
                return

    async def _delete(self, job: Job, lot: list[Entry]) -> None:
        if not lot:
            return
        gone = lot + await self._workers.run(self._index.copies, lot)
        unrecorded = await self._workers.run(self._index.unrecorded, gone)
        if unrecorded:
            facts = job.id, job.by, job.what
            await self._workers.run(records.write, self._bucket, self._index, *facts, unrecorded)
        failed = await self._workers.run(self._bucket.delete, [entry.key for entry in gone])
        self._standing.worked()
        for reason in failed.values():
            job.failed[reason] = job.failed.get(reason, 0) + 1
        deleted = [entry for entry in gone if entry.key not in failed]
        await self.forget([entry.ref for entry in deleted])
        metrics.DELETED.labels("user").inc(len(deleted))
        refs = {entry.ref for entry in lot}
        job.done += sum(entry.ref in refs for entry in deleted)
        self._hub.publish("job", job.facts())

    async def _until_done(self, call: Callable[..., T], *args: object) -> T:
        """Raises StoreError at once where another try would be in vain."""
        backoff = Backoff(first=0.5, cap=30.0)
        while True:
            try:
                result = await self._workers.run(call, *args)
            except StoreError as error:
                self._standing.failed(error)
                if error.reason in HOPELESS:
                    raise
                await asyncio.sleep(backoff.next())
            else:
                self._standing.worked()
                return result

    async def forget(self, refs: list[str]) -> None:
        """Of what is gone from the bucket, nothing stays here: the pictures go first.

        Whoever deleted it: a 404 is reason enough, and the listing need not be waited for.
        """
        if not refs:
            return
        await self._workers.run(self._thumbs.forget, refs)
        visits = await self._workers.run(self._index.remove, refs)
        self._tell_gone(refs, visits)

    def vanished(self, refs: list[str], visits: set[int]) -> None:
        """These have gone from the bucket, and from the index, by themselves."""
        self._workers.run(self._thumbs.forget, refs)
        self._tell_gone(refs, visits)

    def _tell_gone(self, refs: list[str], visits: set[int]) -> None:
        """visits: of which these were shots, and which may have others."""
        names = [name_visit(visit) for visit in visits]
        for start in range(0, len(refs), BATCH):
            lot = slice(start, start + BATCH)
            self._hub.publish("gone", {"refs": refs[lot], "visits": names[lot]})

    def again(self, entries: list[Entry]) -> None:
        """These were deleted before, and have come once more."""
        self._again += entries
        self._some_again.set()

    async def keep_clean(self) -> None:
        """Delete what has come once more."""
        while True:
            await self._some_again.wait()
            self._some_again.clear()
            entries, self._again = self._again, []
            left = await self._cleaned(entries)
            if left:
                self._again += left
                await asyncio.sleep(AGAIN_EVERY)
                self._some_again.set()

    async def _cleaned(self, entries: list[Entry]) -> list[Entry]:
        """Delete them; those that stay."""
        try:
            keys = [entry.key for entry in entries]
            failed = await self._until_done(self._bucket.delete, keys)
        except StoreError as error:
            text = "%d objects arrived again after they were deleted, and cannot be deleted: %s"
            log.warning(text, len(entries), error)
            return entries
        count = len(entries) - len(failed)
        metrics.DELETED.labels("again").inc(count)
        log.info("deleted %d objects that had arrived again; %d remain", count, len(failed))
        return [entry for entry in entries if entry.key in failed]


def _combine(criteria: Filter) -> list[Filter]:
    """A filter of faces, and the same of rejected objects, which know no camera."""
    if criteria.kind == query.REJECTED or criteria.camera is not None:
        return [criteria]
    return [criteria, dataclasses.replace(criteria, kind=query.REJECTED)]
