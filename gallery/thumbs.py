"""Thumbnails: made once, kept on disk within a bound. Originals are read, and never changed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import threading
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from common.cos.errors import StoreError
from common.logs import Seldom
from common.workers import Workers
from gallery import metrics
from gallery.bucket import Bucket
from gallery.entries import Entry
from gallery.index import Index

log = logging.getLogger(__name__)

SIDE = 240  # pixels of the longer side
MEDIA_TYPE = "image/webp"
MAX_BYTES = 8_000_000  # of an object that a thumbnail is made of
MAX_PIXELS = 16_800_000  # what the processor takes as a face
LARGE = 2_000_000  # pixels from which pictures are decoded one at a time, for the memory they take
KEEP = 0.9  # of the bound is left when the bound is met


class NoThumb(Exception):
    """There is no thumbnail; `reason`: not_image, too_large, missing, or one of the store's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Thumbs:
    """`get` from the event loop."""

    def __init__(
        self, folder: Path, max_bytes: int, bucket: Bucket, index: Index, workers: Workers
    ) -> None:
        self._folder = folder
        self._max = max_bytes
        self._bucket = bucket
        self._index = index
        self._workers = workers
        self._making: dict[str, asyncio.Future[bytes]] = {}
        self._large = threading.Lock()
        self._room = threading.Lock()
        self._seldom = Seldom(log)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._bytes = sum(size for _, size, _ in self._files())
        metrics.THUMB_BYTES.set(self._bytes)

    async def get(self, entry: Entry) -> bytes:
        """The thumbnail (WebP); who asks for one that is being made waits for that.

        Raises:
            NoThumb: with the reason.
        """
        making = self._making.get(entry.ref)
        if making is None:
            making = self._workers.run(self._found_or_made, entry)
            self._making[entry.ref] = making
            making.add_done_callback(lambda _: self._making.pop(entry.ref, None))
        return await asyncio.shield(making)

    def forget(self, refs: list[str]) -> None:
        """Of what was deleted. Called in a worker."""
        for ref in refs:
            self._remove(self._path(ref))

    def _found_or_made(self, entry: Entry) -> bytes:
        path = self._path(entry.ref)
        try:
            found = path.read_bytes()
            os.utime(path)  # what is looked at stays
        except OSError:  # there is none, or none that can be read
            found = self._made(entry)
            self._keep(path, found)
        return found

    def _made(self, entry: Entry) -> bytes:
        try:
            return self._reduced(entry)
        except NoThumb as error:
            metrics.NO_THUMBS.labels(error.reason).inc()
            raise

    def _reduced(self, entry: Entry) -> bytes:
        if entry.size > MAX_BYTES:
            raise NoThumb("too_large")
        try:
            body = self._bucket.get(entry.key)
            with contextlib.closing(body):
                if body.size > MAX_BYTES:
                    raise NoThumb("too_large")
                original = body.read()
        except StoreError as error:
            raise NoThumb(error.reason) from None
        if not entry.known:
            self._index.learn(entry, body.facts)  # a listing has no metadata, and here they are
        thumb = self._decoded(original)
        metrics.THUMBS.inc()
        return thumb

    def _decoded(self, original: bytes) -> bytes:
        try:
            with (
                warnings.catch_warnings(),
                Image.open(io.BytesIO(original), formats=["PNG"]) as png,
            ):
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                pixels = png.width * png.height
                if pixels > MAX_PIXELS:
                    raise NoThumb("too_large")
                with self._large if pixels > LARGE else contextlib.nullcontext():
                    return _webp(png)
        except Image.DecompressionBombError:
            raise NoThumb("too_large") from None
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
            # What Pillow raises for files that are no sound PNG.
            raise NoThumb("not_image") from None

    def _keep(self, path: Path, thumb: bytes) -> None:
        new = path.with_name(f"{path.name}.{threading.get_ident()}.new")
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            new.write_bytes(thumb)
            new.replace(path)
        except OSError as error:  # shown all the same; made again the next time
            self._seldom.warn("not_kept", f"a thumbnail cannot be kept: {error} (GALLERY_DATA)")
            with contextlib.suppress(OSError):
                new.unlink()
            return
        with self._room:
            self._bytes += len(thumb)
            if self._bytes > self._max:
                self._make_room()
            metrics.THUMB_BYTES.set(self._bytes)

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


def _webp(png: Image.Image) -> bytes:
    plain = png.convert("RGB")
    plain.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    plain.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()
