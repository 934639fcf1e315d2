"""Many faces as one zip file, made while it is sent: never more than a few of them in memory."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import io
import itertools
import json
import tempfile
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from common import png
from common.runtime.backoff import Backoff
from common.store.base import ObjectBody, ObjectStore, StoreError
from gallery.deletion.jobs import Selection
from gallery.index.model import Entry
from gallery.state import State
from gallery.web.images import WHOLE, safe_file_name
from gallery.web.rendering import local

AHEAD = 4  # objects that are read before it is their turn; others want the store, too
TRIES = 4  # of each
AT_MOST = 5  # objects in a row that cannot be read; then the store is at fault, and the zip ends
OWN_FAULTS = ("denied", "refused", "missing", "not_s3")  # which no other try mends
FACTS = "facts.jsonl"
FACTS_IN_MEMORY = 1_000_000  # bytes; the rest waits on disk


@dataclasses.dataclass
class FetchedObject:
    """An object: its bytes, or the body that they are read from if it is large; or the error."""

    entry: Entry
    facts: dict[str, str]
    first: bytes = b""
    body: ObjectBody | None = None
    error: StoreError | None = None


class _Pipe(io.RawIOBase):
    """The output of zipfile: it cannot seek, and keeps nothing that was read."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def stream(state: State, chosen: Selection, place: datetime.tzinfo) -> AsyncIterator[bytes]:
    """The zip's bytes: the objects by device, camera and day, and their facts at the end.

    Raises:
        StoreError: the store does not answer any more.
    """
    pipe = _Pipe()
    with (
        tempfile.SpooledTemporaryFile(FACTS_IN_MEMORY, dir=state.settings.data) as lines,
        zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive,
    ):
        async with contextlib.aclosing(_read_ahead(state, chosen)) as objects:
            in_a_row = 0
            async for got in objects:
                in_a_row = 0 if got.error is None else in_a_row + 1
                if got.error is not None and got.error.reason != "missing" and in_a_row >= AT_MOST:
                    raise got.error
                name = None if got.error is not None else _name(got, place)
                lines.write(_line(got, name))
                if name is not None:
                    async for _ in _add_member(state, archive, got, name, place):
                        yield pipe.take()
        lines.seek(0)
        with archive.open(_zip_info(FACTS, datetime.datetime.now(place)), "w") as member:
            while part := lines.read(WHOLE):
                member.write(part)
                yield pipe.take()
    yield pipe.take()


async def _add_member(
    state: State, archive: zipfile.ZipFile, got: FetchedObject, name: str, place: datetime.tzinfo
) -> AsyncIterator[None]:
    """Write one object; stops after each piece, for it to be sent."""
    about = _zip_info(name, local(got.entry.captured, place))
    about.file_size = got.entry.size  # which makes it a ZIP64 member if it must be one
    with archive.open(about, "w") as member:
        member.write(got.first)
        yield
        if got.body is not None:
            parts = got.body.chunks()
            while part := await state.store.run(next, parts, b""):
                member.write(part)
                yield
    yield


async def _read_ahead(state: State, chosen: Selection) -> AsyncGenerator[FetchedObject, None]:
    """The objects in order, a few of them under way."""
    under_way: collections.deque[asyncio.Task[FetchedObject]] = collections.deque()
    entries = _entries(state, chosen)
    more = True
    try:
        while more or under_way:
            while more and len(under_way) < AHEAD:
                entry = await anext(entries, None)
                more = entry is not None
                if entry is not None:
                    under_way.append(asyncio.create_task(_try_fetch(state, entry)))
            if under_way:
                got = await under_way.popleft()
                try:
                    yield got
                finally:
                    if got.body is not None:
                        got.body.close()
    finally:
        await _release(under_way)


async def _release(under_way: collections.deque[asyncio.Task[FetchedObject]]) -> None:
    """The reader has left: what is under way is read no further."""
    for task in under_way:
        task.cancel()
    for got in await asyncio.gather(*under_way, return_exceptions=True):
        if isinstance(got, FetchedObject) and got.body is not None:
            got.body.close()


async def _entries(state: State, chosen: Selection) -> AsyncIterator[Entry]:
    lots: Iterator[list[Entry]] = state.deletions.entries(chosen)
    while (lot := await state.local.run(next, lots, None)) is not None:
        for entry in lot:
            yield entry


async def _try_fetch(state: State, entry: Entry) -> FetchedObject:
    """An object, after some tries if need be."""
    backoff = Backoff(first=0.5)
    for attempt in itertools.count(1):
        try:
            got = await state.store.run(_fetch, state.bucket, entry)
        except StoreError as error:
            state.standing.failed(error)
            if error.reason == "missing":
                await state.deletions.forget([entry.ref])
            if error.reason in OWN_FAULTS or attempt == TRIES:
                return FetchedObject(entry, {}, error=error)
            await asyncio.sleep(backoff.next())
        else:
            state.standing.worked()
            return got
    raise AssertionError("the last try returns")


def _fetch(bucket: ObjectStore, entry: Entry) -> FetchedObject:
    """In a worker: all of a small object; a large one is begun."""
    body = bucket.get(entry.key)
    if body.size <= WHOLE:
        with contextlib.closing(body):
            return FetchedObject(entry, body.facts, body.read())
    return FetchedObject(entry, body.facts, b"", body)


def _name(got: FetchedObject, place: datetime.tzinfo) -> str:
    """Device, camera, day, file; unique by the ref, and safe whatever the key is."""
    entry = got.entry
    day = f"{local(entry.captured, place):%Y-%m-%d}"
    stem = safe_file_name(entry.key.rpartition("/")[2].removesuffix(".png"))
    is_png = got.first.startswith(png.SIGNATURE) or (got.body and _is_png(entry))
    suffix = ".png" if is_png else ".bin"
    kind = "" if entry.kind == "face" else "rejected/"
    source = f"{safe_file_name(entry.device)}/{safe_file_name(entry.camera)}"
    return f"{kind}{source}/{day}/{stem}_{entry.ref[:8]}{suffix}"


def _is_png(entry: Entry) -> bool:
    return entry.key.lower().endswith(".png")


def _line(got: FetchedObject, name: str | None) -> bytes:
    entry = got.entry
    captured = local(entry.captured, datetime.UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {"file": name, "key": entry.key, "kind": entry.kind}
    if got.error is not None:
        line["missing"] = got.error.reason
    line |= {"device": entry.device, "camera": entry.camera, "captured": captured}
    return json.dumps({**line, "size": entry.size, "metadata": got.facts}).encode() + b"\n"


def _zip_info(name: str, when: datetime.datetime) -> zipfile.ZipInfo:
    year = min(max(when.year, 1980), 2107)  # as far as a zip's calendar goes
    clock = (year, when.month, when.day, when.hour, when.minute, when.second)
    about = zipfile.ZipInfo(name, clock)
    about.external_attr = 0o600 << 16
    return about
