"""What only an object's metadata tell, such as its sharpness: read where somebody asks for it.

A listing has no metadata, and a request for each of 100,000 objects nobody would wait for: those of
one day are read when that day is to be sorted. Faces that were announced, and those that were
looked at, are known already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from common.runtime.workers import Workers
from common.store.base import ObjectStore, StoreError
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.index.query import Filter
from gallery.store_health import StoreHealth
from gallery.thumbnails.thumbnails import NoThumbnail, Thumbnails

AT_ONCE = 32  # entries
NEWEST = 60  # faces whose thumbnails are made before anybody asks: what people see first
REST = 5.0  # seconds between two looks for such


class MetadataLoader:
    """`keep_filling` and `keep_warm` are tasks; the rest from the event loop, too."""

    def __init__(
        self,
        index: Index,
        bucket: ObjectStore,
        thumbs: Thumbnails,
        store: Workers,
        local: Workers,
        standing: StoreHealth,
        forget: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        """forget: called with the refs of objects that are no longer in the bucket."""
        self._index = index
        self._bucket = bucket
        self._thumbs = thumbs
        self._store = store
        self._local = local
        self._standing = standing
        self._forget = forget
        self._requests: asyncio.Queue[Filter] = asyncio.Queue()
        self._filling: set[Filter] = set()
        self._news = asyncio.Event()

    def fill(self, criteria: Filter) -> None:
        """Have the metadata read of all that a filter asks for; `Index.known` tells how far it is.

        Times that change with the clock make a new filter each time: leave them out.
        """
        if criteria not in self._filling:
            self._filling.add(criteria)
            self._requests.put_nowait(criteria)

    async def keep_filling(self) -> None:
        while True:
            criteria = await self._requests.get()
            try:
                await self._fill(criteria)
            except StoreError as error:
                self._standing.failed(error)
            finally:
                self._filling.discard(criteria)

    async def _fill(self, criteria: Filter) -> None:
        while lot := await self._local.run(self._index.unknown, criteria, AT_ONCE):
            reads = [self._store.run(self._read, entry) for entry in lot]
            results = await asyncio.gather(*reads, return_exceptions=True)
            await self._forget([ref for ref in results if isinstance(ref, str)])
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    def _read(self, entry: Entry) -> str | None:
        """In a worker: the ref of an object that is no longer there."""
        try:
            facts = self._bucket.head(entry.key)
        except StoreError as error:
            if error.reason == "missing":
                return entry.ref
            if error.reason in ("refused", "not_s3"):  # of this one: the rest of the day goes on
                self._index.learn(entry, {})
            else:
                raise
        else:
            self._index.learn(entry, facts)
        return None

    def news(self) -> None:
        """Faces have come."""
        self._news.set()

    async def keep_warm(self) -> None:
        """Make the thumbnails of the first page before it is opened."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                page = await self._local.run(self._index.page, Filter(), "newest", None, NEWEST)
                for entry in page.entries:
                    with contextlib.suppress(
                        NoThumbnail
                    ):  # counted, and reported to whoever requests it
                        await self._thumbs.get(entry)
            except StoreError as error:
                self._standing.failed(error)
            await asyncio.sleep(REST)
