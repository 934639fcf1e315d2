"""Faces as they are stored: off the broker, into the index, to the pages that are open."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable, Mapping
from typing import Any

from common.protocol.fields import BadMessage
from common.protocol.keys import KeyFacts
from common.protocol.stored import Stored
from common.runtime.workers import Workers
from common.store.base import StoreError
from gallery import metrics
from gallery.index import model
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.live import EventHub
from gallery.sync.doctor_faces import is_test

log = logging.getLogger(__name__)

EVERY = 0.2  # seconds between two writes to the index, while faces come
AFTER_TROUBLE = 5.0  # seconds
WAITING = 20_000  # faces that wait for it at most; a listing finds those that are passed over
SHOWN = 60  # of each write, the newest, that are sent to pages


class Announcements:
    """`take` and `keep_up` in the event loop."""

    def __init__(
        self,
        index: Index,
        workers: Workers,
        hub: EventHub,
        read: Callable[[str], KeyFacts | None],
        deleted_before: Callable[[list[Entry]], None],
        missed: Callable[[], None],
        failed: Callable[[StoreError], None],
        news: Callable[[], None],
        tested: Callable[[list[str]], None],
    ) -> None:
        self._index = index
        self._workers = workers
        self._hub = hub
        self._read = read
        self._deleted_before = deleted_before
        self._missed = missed
        self._failed = failed
        self._news = news
        self._tested = tested
        self._waiting: list[Entry] = []
        self._some = asyncio.Event()

    def take(self, payload: bytes) -> None:
        """A message on faces/stored."""
        entry = self._entry(payload)
        if entry is None:
            metrics.UNREADABLE.inc()
        elif is_test(entry):
            self._tested([entry.key])
        elif len(self._waiting) >= WAITING:
            self._missed()
        else:
            metrics.ANNOUNCED.inc()
            self._waiting.append(entry)
            self._some.set()

    def _entry(self, payload: bytes) -> Entry | None:
        try:
            return model.entry_from_announcement(Stored.decode(payload), self._read)
        except BadMessage:
            return None

    async def keep_up(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            waiting, self._waiting = self._waiting, []
            try:
                new, again = await self._workers.run(self._index.add, waiting)
            except StoreError as error:
                self._failed(error)
                self._missed()  # a listing finds them
                await asyncio.sleep(AFTER_TROUBLE)
                continue
            if again:
                self._deleted_before(again)
            if new:
                self._news()
                await self._publish(new)
            await asyncio.sleep(EVERY)

    async def _publish(self, new: list[Entry]) -> None:
        """Send pages what is new."""
        try:
            shots = await self._workers.run(self._index.shots, new)
        except StoreError as error:
            self._failed(error)
            shots = {}
        begun = _first_of_visits(new, shots)
        shown = sorted(new, key=lambda entry: entry.captured)[-SHOWN:]
        faces = [{**entry_to_dict(entry), "begins": entry.ref in begun} for entry in shown]
        self._hub.publish("faces", {"faces": faces, "count": len(new), "visits": len(begun)})


def _first_of_visits(new: list[Entry], shots: Mapping[int, int]) -> set[str]:
    """Refs of the entries that begin a visit: one of each whose shots are all new.

    shots: how many the index has now, by visit.
    """
    visits = {entry.ref: entry.visit for entry in new if entry.visit is not None}
    counts = collections.Counter(visits.values())
    firsts = {visit: ref for ref, visit in visits.items()}
    begun = {ref for visit, ref in firsts.items() if shots.get(visit) == counts[visit]}
    return begun | {entry.ref for entry in new if entry.visit is None}


def entry_to_dict(entry: Entry) -> dict[str, Any]:
    """What pages receive about an entry."""
    return {
        "visit": entry.visit_name,
        "ref": entry.ref,
        "kind": entry.kind,
        "device": entry.device,
        "camera": entry.camera,
        "captured": entry.captured,
        "sharpness": entry.sharpness,
    }
