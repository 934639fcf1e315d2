"""What only an object's metadata tell, such as its sharpness: read where somebody asks for it.

A listing has no metadata, and a request for each of 100,000 objects nobody would wait for: those of
one day are read when that day is to be sorted. Faces that were announced, and those that were
looked at, are known already.
"""

from __future__ import annotations

import asyncio
import contextlib

from common.cos.errors import StoreError
from common.workers import Workers
from gallery.bucket import Bucket
from gallery.entries import Entry
from gallery.filters import Filter
from gallery.index import Index
from gallery.standing import Standing
from gallery.thumbs import NoThumb, Thumbs

AT_ONCE = 32  # entries
NEWEST = 60  # faces whose thumbnails are made before anybody asks: what people see first
REST = 5.0  # seconds between two looks for such


class Facts:
    """`keep_filling` and `keep_warm` are tasks; the rest from the event loop, too."""

    def __init__(
        self,
        index: Index,
        bucket: Bucket,
        thumbs: Thumbs,
        store: Workers,
        local: Workers,
        standing: Standing,
    ) -> None:
        self._index = index
        self._bucket = bucket
        self._thumbs = thumbs
        self._store = store
        self._local = local
        self._standing = standing
        self._asked: asyncio.Queue[Filter] = asyncio.Queue()
        self._filling: set[Filter] = set()
        self._news = asyncio.Event()

    def fill(self, asked: Filter) -> None:
        """Have the metadata read of all that a filter asks for; `Index.known` tells how far it is.

        Times that change with the clock make a new filter each time: leave them out.
        """
        if asked not in self._filling:
            self._filling.add(asked)
            self._asked.put_nowait(asked)

    async def keep_filling(self) -> None:
        while True:
            asked = await self._asked.get()
            try:
                await self._fill(asked)
            except StoreError as error:
                self._standing.failed(error)
            finally:
                self._filling.discard(asked)

    async def _fill(self, asked: Filter) -> None:
        while lot := await self._local.run(self._index.unknown, asked, AT_ONCE):
            reads = [self._store.run(self._read, entry) for entry in lot]
            results = await asyncio.gather(*reads, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    def _read(self, entry: Entry) -> None:
        try:
            facts = self._bucket.head(entry.key)
        except StoreError as error:
            if error.reason == "missing":
                self._index.remove([entry.ref])  # gone since it was listed
            elif error.reason in ("refused", "not_s3"):  # of this one: the rest of the day goes on
                self._index.learn(entry, {})
            else:
                raise
        else:
            self._index.learn(entry, facts)

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
                    with contextlib.suppress(NoThumb):  # counted, and told to who asks for it
                        await self._thumbs.get(entry)
            except StoreError as error:
                self._standing.failed(error)
            await asyncio.sleep(REST)
