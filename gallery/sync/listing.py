"""Keeps the index in step with the bucket, by listing it: at the start, and at times.

With the default KEY_TEMPLATE camera by camera, some at a time, the last two days first and more
often; with another, which may put any key anywhere, all of it in one go.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from common.protocol.keys import OWN, REJECTED, KeyFacts
from common.protocol.topics import NAME
from common.runtime.backoff import Backoff
from common.runtime.workers import Workers
from common.store.base import Listed, ObjectStore, StoreError
from gallery import metrics
from gallery.index import model
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.live import EventHub
from gallery.store_health import StoreHealth
from gallery.sync.doctor_faces import is_test

log = logging.getLogger(__name__)

SOONEST = (
    600.0  # seconds between two listings, whatever asks for them; a sixth of the usual at most
)
SMALL = 2  # pages of a bucket that is listed whole: by camera it would take more requests
RECENT = 24  # listings of the last two days for each of everything
HEAR_WITHIN = 3.0  # seconds that the first listing waits for the broker
TELL_EVERY = 1.0  # seconds between two words on how far it is
T = TypeVar("T")
_DEVICE = re.compile(rf"{NAME.pattern}/")
_CAMERA = re.compile(rf"{NAME.pattern}/{NAME.pattern}/")


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
    deleted_before: called with objects that were deleted, and have arrived again.
    vanished: called with the refs of objects that are no longer in the bucket, and the visits of
      which they were shots.
    tested: called with the keys of test faces.
    listed: is called after each listing.
    """

    before: Callable[[], None]
    prune: Callable[[], None]
    is_over: Callable[[Listed], bool]
    deleted_before: Callable[[list[Entry]], None]
    vanished: Callable[[list[str], set[int]], None]
    tested: Callable[[list[str]], None]
    listed: Callable[[], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListingOptions:
    """every: seconds between two listings of the whole bucket; the last two days are listed RECENT
    times as often, where keys are by_camera and day. parallel: requests at a time."""

    every: float
    by_camera: bool
    parallel: int


class Taken(NamedTuple):
    """The result of a page; `again`: its objects that were deleted before; `over`: keys of those
    that are past their retention; `tests`: of test faces."""

    objects: int
    again: list[Entry]
    over: list[str]
    tests: list[str]


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
        options: ListingOptions,
        hooks: ListingHooks,
    ) -> None:
        self.progress = ListingProgress()
        self._hooks = hooks
        self._index = index
        self._bucket = bucket
        self._workers = workers
        self._hub = hub
        self._standing = standing
        self._read = read
        self._options = options
        self._every = options.every
        self._asked = asyncio.Event()
        self._at_once = False
        self._hearing = asyncio.Event()
        self._begun = False
        self._told = 0.0

    def soon(self) -> None:
        """All of the bucket is to be listed again, as soon as it may be."""
        self._asked.set()

    def at_once(self) -> None:
        """The same however recent the last listing is: the index is being rebuilt."""
        self._at_once = True
        self._asked.set()

    def connected(self) -> None:
        """From now on announcements come: what was stored before has to be looked for."""
        self._hearing.set()
        if self._begun:
            self.soon()

    async def keep_up(self) -> None:
        if not self._options.by_camera:
            log.info("KEY_TEMPLATE is not the default: each listing covers the whole bucket")
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
        """Until the next listing of everything; meanwhile, of what changes most."""
        end = began + self._every
        while not self._asked.is_set() and (left := end - time.monotonic()) > 0:
            pause = self._every / RECENT if self._options.by_camera else left
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), min(pause, left))
            if pause < left and not self._asked.is_set():
                await self._look_again()
        soonest = began + min(SOONEST, self._every / 6)
        while not self._at_once and time.monotonic() < min(soonest, end):
            self._asked.clear()
            with contextlib.suppress(TimeoutError):
                left = soonest - time.monotonic()
                await asyncio.wait_for(self._asked.wait(), max(0.0, left))

    async def _list(self) -> None:
        progress = self.progress
        progress.listing, progress.found = True, 0
        began = time.monotonic()
        await self._workers.run(self._hooks.before)
        started = await self._workers.run(self._index.begin_pass)
        if not self._options.by_camera:
            await self._take_all([("", "")])
        elif not await self._take_small():
            progress.found = 0
            await self._list_by_camera(began)
        vanished = await self._end(started)
        await self._workers.run(self._hooks.prune)
        self._standing.index_worked()
        self._hooks.listed()
        progress.listing, progress.complete = False, True
        self._tell()
        seconds = time.monotonic() - began
        log.info("listed %d objects in %.1f s; %d were gone", progress.found, seconds, vanished)

    async def _list_by_camera(self, began: float) -> None:
        prefixes = await self._prefixes()
        beside = self.progress.found
        if not self.progress.complete:
            await self._list_recent(prefixes, _yesterday())
            log.info("the last two days are indexed after %.1f s", time.monotonic() - began)
            self.progress.found = beside
        await self._take_all([(prefix, "") for prefix in prefixes])

    async def _take_small(self) -> bool:
        """Whether the bucket has so few objects that this has taken them all."""
        pages = self._bucket.pages("", "")
        for _ in range(SMALL + 1):  # the last one tells that there are no more
            taken = await self._workers.run(self._take_next, pages)
            if taken is None:
                return True
            await self._told_of(taken)
        return False

    async def _look_again(self) -> None:
        """List the last two days of the cameras that are known, and no more."""
        day = _yesterday()
        try:
            started = await self._workers.run(self._index.begin_pass)
            if not await self._take_small():
                devices = await self._workers.run(self._index.devices)
                names = [(device.name, camera) for device in devices for camera in device.cameras]
                await self._list_recent([f"{device}/{camera}/" for device, camera in names], day)
            since = round(day.timestamp() * 1000)
            await self._end(started, since)
        except StoreError as error:
            self._standing.failed(error)

    async def _list_recent(self, prefixes: list[str], day: datetime.datetime) -> None:
        """What the cameras have of a day, and since."""
        before = day - datetime.timedelta(days=1)
        cameras = [prefix for prefix in prefixes if _CAMERA.fullmatch(prefix)]
        await self._take_all([(camera, f"{camera}{before:%Y-%m-%d}~") for camera in cameras])

    async def _prefixes(self) -> list[str]:
        """That together hold all objects but those beside them: one for each camera, and others."""
        prefixes = await self._take_level("")
        devices = [one for one in prefixes if _DEVICE.fullmatch(one) and one != REJECTED]
        found = [one for one in prefixes if one not in devices and one != OWN]

        async def look(device: str) -> None:
            found.extend(await self._take_level(device))

        await self._each(look, devices)
        return found

    async def _take_level(self, prefix: str) -> list[str]:
        """The prefixes below one; the objects beside them are taken up."""
        below = list[str]()
        levels = self._bucket.level(prefix)
        while (level := await self._workers.run(next, levels, None)) is not None:
            below += level[1]
            await self._told_of(await self._workers.run(self._take, level[0]))
        return below

    async def _take_all(self, parts: list[tuple[str, str]]) -> None:
        """All objects of these prefixes, each from a key on."""

        async def take(part: tuple[str, str]) -> None:
            pages = self._bucket.pages(*part)
            while (taken := await self._workers.run(self._take_next, pages)) is not None:
                await self._told_of(taken)

        await self._each(take, parts)

    async def _each(self, call: Callable[[T], Awaitable[None]], items: list[T]) -> None:
        """Call with each, some at a time."""
        left = iter(items)

        async def work() -> None:
            for item in left:
                await call(item)

        tasks = [asyncio.create_task(work()) for _ in range(self._options.parallel)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _end(self, started: int, since: int | None = None) -> int:
        """Forget what the listing did not have; how many that were."""
        vanished, lots = 0, self._index.end_pass(started, since)
        while (lot := await self._workers.run(next, lots, None)) is not None:
            self._hooks.vanished(*lot)
            vanished += len(lot[0])
        return vanished

    async def _told_of(self, taken: Taken) -> None:
        """A page is in the index."""
        self.progress.found += taken.objects
        if taken.again:
            self._hooks.deleted_before(taken.again)
        if taken.tests:
            self._hooks.tested(taken.tests)
        if taken.over:
            failed = await self._workers.run(self._bucket.delete, taken.over)
            metrics.DELETED.labels("retention").inc(len(taken.over) - len(failed))
        self._standing.worked()
        if time.monotonic() - self._told >= TELL_EVERY:
            self._tell()

    def _take_next(self, pages: Iterator[list[Listed]]) -> Taken | None:
        """In a worker: the next page of the listing into the index; None at the end."""
        page = next(pages, None)
        return None if page is None else self._take(page)

    def _take(self, page: list[Listed]) -> Taken:
        """In a worker: all of a page but what was deleted before, and what is over."""
        over, tests, entries = [], [], []
        for one in page:
            if self._hooks.is_over(one):
                over.append(one.key)
            elif (entry := model.entry_from_listing(one, self._read)) is not None:
                if is_test(entry):
                    tests.append(entry.key)
                else:
                    entries.append(entry)
        _, again = self._index.add(entries)
        return Taken(len(entries), again, over, tests)

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._hub.publish("sync", self.progress.facts())


def _yesterday() -> datetime.datetime:
    today = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - datetime.timedelta(days=1)
