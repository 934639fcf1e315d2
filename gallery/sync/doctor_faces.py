"""Removes the test faces that the doctor sends, which no page shows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from common.protocol.topics import DOCTOR
from common.runtime.workers import Workers
from common.store.base import ObjectStore, StoreError
from gallery.index.model import Entry

log = logging.getLogger(__name__)

WAITING = 1000  # keys at most; a listing finds those that are passed over


class DoctorFaces:
    """`take` in the event loop, and `keep_removing` as a task."""

    def __init__(self, bucket: ObjectStore, workers: Workers) -> None:
        self._bucket = bucket
        self._workers = workers
        self._waiting: list[str] = []
        self._some = asyncio.Event()

    def take(self, keys: Iterable[str]) -> None:
        """Have these objects removed soon."""
        self._waiting = [*self._waiting, *keys][:WAITING]
        if self._waiting:
            self._some.set()

    async def keep_removing(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            keys, self._waiting = self._waiting, []
            try:
                failed = await self._workers.run(self._bucket.delete, keys)
            except StoreError as error:
                failed = dict.fromkeys(keys, error.reason)
            if failed:
                reasons = ", ".join(sorted({*failed.values()}))
                log.warning("%d test faces could not be removed (%s)", len(failed), reasons)


def is_test(entry: Entry) -> bool:
    """Whether the doctor has sent this face."""
    return entry.camera == DOCTOR
