"""Thumbnails: made once, kept on disk within a bound. Originals are read, and never changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from pathlib import Path

from common.runtime.logs import RateLimitedLogger
from common.runtime.workers import Workers
from common.store.base import ObjectStore, StoreError
from gallery import metrics
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.thumbnails.resize import UnreadablePicture, create_thumbnail

log = logging.getLogger(__name__)

MEDIA_TYPE = "image/webp"
MAX_BYTES = 4_000_000  # of an object that a thumbnail is made of: twice what the processor takes
LARGE = 300_000  # bytes from which objects are read one at a time, for the memory they take
KEEP = 0.9  # of the bound is left when the bound is met


class NoThumbnail(Exception):
    """There is no thumbnail; `reason`: not_image, too_large, or one of the store's, whose `trouble`
    it is then."""

    def __init__(self, reason: str, trouble: StoreError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trouble = trouble


class Thumbnails:
    """`get` from the event loop."""

    def __init__(
        self, folder: Path, max_bytes: int, bucket: ObjectStore, index: Index, workers: Workers
    ) -> None:
        self._folder = folder
        self._max = max_bytes
        self._bucket = bucket
        self._index = index
        self._workers = workers
        self._making: dict[str, asyncio.Future[bytes]] = {}
        # One thread for all pictures: each thread's memory allocator would keep what one took.
        self._painter = Workers("pictures")
        self._large = asyncio.Semaphore(1)
        self._room = threading.Lock()
        self._limited_log = RateLimitedLogger(log)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.glob("??/*.new"):  # by a kill amid a write
            left.unlink()
        self._bytes = sum(size for _, size, _ in self._files())
        metrics.THUMB_BYTES.set(self._bytes)

    async def get(self, entry: Entry) -> bytes:
        """The thumbnail (WebP); requests for one that is being created wait for it.

        Raises:
            NoThumb: with the reason.
            StoreError: the index is in trouble.
        """
        making = self._making.get(entry.ref)
        if making is None:
            making = asyncio.ensure_future(self._find_or_create(entry))
            self._making[entry.ref] = making
            making.add_done_callback(lambda done: self._finish(entry.ref, done))
        return await asyncio.shield(making)

    def _finish(self, ref: str, done: asyncio.Future[bytes]) -> None:
        del self._making[ref]
        if not done.cancelled():
            done.exception()  # which may interest nobody any more

    def forget(self, refs: list[str]) -> None:
        """Of what was deleted. Called in a worker."""
        for ref in refs:
            self._remove(self._path(ref))

    async def _find_or_create(self, entry: Entry) -> bytes:
        found = await self._workers.run(self._found, entry.ref)
        if found is not None:
            return found
        try:
            async with self._large if entry.size > LARGE else contextlib.nullcontext():
                original = await self._workers.run(self._read, entry)
                made = await self._painter.run(create_thumbnail, original)
        except UnreadablePicture as error:
            metrics.NO_THUMBS.labels(error.reason).inc()
            raise NoThumbnail(error.reason) from None
        except NoThumbnail as error:
            metrics.NO_THUMBS.labels(error.reason).inc()
            raise
        metrics.THUMBS.inc()
        await self._workers.run(self._keep, entry.ref, made)
        return made

    def _found(self, ref: str) -> bytes | None:
        path = self._path(ref)
        try:
            found = path.read_bytes()
            os.utime(path)  # what is looked at stays
        except OSError:  # there is none, or none that can be read
            return None
        return found

    def _read(self, entry: Entry) -> bytes:
        if entry.size > MAX_BYTES:
            raise NoThumbnail("too_large")
        try:
            body = self._bucket.get(entry.key)
            with contextlib.closing(body):
                if body.size > MAX_BYTES:
                    raise NoThumbnail("too_large")
                original = body.read()
        except StoreError as error:
            raise NoThumbnail(error.reason, error) from None
        if not entry.known:
            self._index.learn(entry, body.facts)  # a listing has no metadata, and here they are
        return original

    def prune(self) -> None:
        """Take away those of what the index does not know (any more). Called in a worker."""
        for path, _, _ in self._files():
            if self._index.entry(path.stem) is None:
                self._remove(path)

    def _keep(self, ref: str, thumb: bytes) -> None:
        path = self._path(ref)
        new = path.with_name(f"{path.name}.{threading.get_ident()}.new")
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            new.write_bytes(thumb)
            new.replace(path)
        except OSError as error:  # shown all the same; made again the next time
            self._limited_log.warn(
                "not_kept", f"a thumbnail cannot be saved: {error} (GALLERY_DATA)"
            )
            with contextlib.suppress(OSError):
                new.unlink()
            return
        with self._room:
            self._bytes += len(thumb)
            if self._bytes > self._max:
                self._make_room()
            metrics.THUMB_BYTES.set(self._bytes)
        if self._index.entry(ref) is None:  # deleted meanwhile
            self._remove(path)

    def _make_room(self) -> None:
        """Take away those that nobody has looked at for longest."""
        files = sorted(self._files(), key=lambda file: file[2])
        self._bytes = sum(size for _, size, _ in files)
        for path, size, _ in files:
            if self._bytes <= KEEP * self._max:
                return
            path.unlink(missing_ok=True)
            self._bytes -= size

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
            with self._room:
                self._bytes -= size
                metrics.THUMB_BYTES.set(self._bytes)

    def _files(self) -> list[tuple[Path, int, float]]:
        """Each with its size, and when it was last looked at."""
        found = []
        for path in self._folder.glob("??/*.webp"):
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                found.append((path, about.st_size, about.st_mtime))
        return found

    def _path(self, ref: str) -> Path:
        return self._folder / ref[:2] / f"{ref}.webp"
