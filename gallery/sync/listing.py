"""Keeps the index in step with the bucket, by listing all of it: at the start, and at times."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from common.protocol.keys import KeyFacts
from common.runtime.backoff import Backoff
from common.runtime.workers import Workers
from common.store.base import Listed, ObjectStore, StoreError
from gallery import metrics
from gallery.index import model
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.live import EventHub
from gallery.store_health import StoreHealth

log = logging.getLogger(__name__)

SOONEST = (
    600.0  # seconds between two listings, whatever asks for them; a sixth of the usual at most
)
HEAR_WITHIN = 3.0  # seconds that the first listing waits for the broker
TELL_EVERY = 1.0  # seconds between two words on how far it is


@dataclasses.dataclass
class ListingProgress:
    """For people: `found` objects of the listing under way; `complete`: the index has been in step
    with all of the bucket once."""

    listing: bool = False
    found: int = 0
    complete: bool = False

    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListingHooks:
    """What else follows a listing. The first two run in a worker, the others in the event loop.

    before: is called before a listing begins; prune: after it has ended.
    is_over: whether an object is past its retention, so that the index need not have it.
    deleted_before: is told of objects that somebody has deleted, and that have come again.
    vanished: is told the refs of objects that are no longer in the bucket.
    listed: is called after each listing.
    """

    before: Callable[[], None]
    prune: Callable[[], None]
    is_over: Callable[[Listed], bool]
    deleted_before: Callable[[list[Entry]], None]
    vanished: Callable[[list[str]], None]
    listed: Callable[[], None]


class BucketListing:
    """`keep_up` is a task; `soon` asks for a listing before its time."""

    def __init__(
        self,
        index: Index,
        bucket: ObjectStore,
        workers: Workers,
        hub: EventHub,
        standing: StoreHealth,
        read: Callable[[str], KeyFacts | None],
        every: float,
        hooks: ListingHooks,
    ) -> None:
        """every: seconds between two listings."""
        self.progress = ListingProgress()
        self._hooks = hooks
        self._index = index
        self._bucket = bucket
        self._workers = workers
        self._hub = hub
        self._standing = standing
        self._read = read
        self._every = every
        self._asked = asyncio.Event()
        self._at_once = False
        self._hearing = asyncio.Event()
        self._begun = False

    def soon(self) -> None:
        """All of the bucket is to be listed again, as soon as it may be."""
        self._asked.set()

    def at_once(self) -> None:
        """The same without regard to how long ago the last one was: the index is built anew."""
        self._at_once = True
        self._asked.set()

    def connected(self) -> None:
        """From now on announcements come: what was stored before has to be looked for."""
        self._hearing.set()
        if self._begun:
            self.soon()

    async def keep_up(self) -> None:
        backoff = Backoff(first=1.0)
        with contextlib.suppress(TimeoutError):  # listed after that, what is stored meanwhile shows
            await asyncio.wait_for(self._hearing.wait(), HEAR_WITHIN)
        self._begun = True
        while True:
            began = time.monotonic()
            self._asked.clear()
            self._at_once = False
            try:
                await self._list()
            except StoreError as error:
                self._standing.failed(error)
                self.progress.listing = False
                await asyncio.sleep(backoff.next())
                continue
            backoff = Backoff(first=1.0)
            await self._until_due(began)

    async def _until_due(self, began: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, began + self._every - time.monotonic())):
                await self._asked.wait()
        except TimeoutError:
            return
        soonest = began + min(SOONEST, self._every / 6)
        while not self._at_once and time.monotonic() < soonest:
            self._asked.clear()
            with contextlib.suppress(TimeoutError):
                left = soonest - time.monotonic()
                await asyncio.wait_for(self._asked.wait(), max(0.0, left))

    async def _list(self) -> None:
        progress = self.progress
        progress.listing, progress.found = True, 0
        began = told = time.monotonic()
        await self._workers.run(self._hooks.before)
        started = await self._workers.run(self._index.begin_pass)
        pages = self._bucket.pages()
        while (taken := await self._workers.run(self._take_page, pages)) is not None:
            count, again, over = taken
            progress.found += count
            if again:
                self._hooks.deleted_before(again)
            if over:
                failed = await self._workers.run(self._bucket.delete, over)
                metrics.DELETED.labels("retention").inc(len(over) - len(failed))
            self._standing.worked()
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                self._tell()
        vanished = 0
        lots = self._index.end_pass(started)
        while (lot := await self._workers.run(next, lots, None)) is not None:
            self._hooks.vanished(lot)
            vanished += len(lot)
        await self._workers.run(self._hooks.prune)
        self._standing.index_worked()
        self._hooks.listed()
        progress.listing, progress.complete = False, True
        self._tell()
        seconds = time.monotonic() - began
        log.info("listed %d objects in %.1f s; %d were gone", progress.found, seconds, vanished)

    def _take_page(
        self, pages: Iterator[list[Listed]]
    ) -> tuple[int, list[Entry], list[str]] | None:
        """In a worker: the next page of the listing into the index, but for what was deleted
        before, and the keys of what is over; None at the end."""
        page = next(pages, None)
        if page is None:
            return None
        over, taken = [], []
        for one in page:
            if self._hooks.is_over(one):
                over.append(one.key)
            elif (entry := model.entry_from_listing(one, self._read)) is not None:
                taken.append(entry)
        _, again = self._index.add(taken)
        return len(taken), again, over

    def _tell(self) -> None:
        self._hub.publish("sync", self.progress.facts())
