"""How the gallery stands with the store: said once in the log, in /healthz, and on the pages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from common.runtime.backoff import Backoff
from common.runtime.health import Health
from common.runtime.logs import StateLogger
from common.runtime.workers import Workers
from common.store.base import ObjectStore, StoreError
from gallery.index.database import IndexTrouble
from gallery.live import EventHub

log = logging.getLogger(__name__)


class StoreHealth:
    """Call `failed` or `worked` after each request to the store, in the loop."""

    def __init__(
        self, bucket: ObjectStore, workers: Workers, hub: EventHub, health: Health
    ) -> None:
        self.reason: str | None = None
        self.text = ""  # the reason, in a sentence
        self._bucket = bucket
        self._workers = workers
        self._hub = hub
        self._health = health
        self._trouble = StateLogger(log, f"bucket {bucket.name}")
        self._index_trouble = StateLogger(log, "index")
        self.index_text = ""  # what is wrong with the index, in a sentence
        self.on_index_trouble: list[Callable[[], None]] = []
        self._bad = asyncio.Event()

    def failed(self, error: StoreError) -> None:
        """A request has failed; what is said of a single object is no word on the store."""
        if error.reason in ("missing", "refused"):
            return
        if isinstance(error, IndexTrouble):
            self._index_failed(error)
            return
        self._trouble.begin(error.reason, str(error))
        self._health.check("bucket", error.reason)
        changed = self.reason != error.reason
        self.reason, self.text = error.reason, str(error)
        self._bad.set()
        if changed:
            self._hub.publish("store", self.facts())

    def _index_failed(self, error: IndexTrouble) -> None:
        """A damaged index is not the bucket's fault, and the next listing refills it."""
        self._index_trouble.begin(error.reason, str(error))
        self._health.check("index", error.reason)
        self.index_text = str(error)
        for call in self.on_index_trouble:
            call()

    def index_worked(self) -> None:
        """All of the bucket is in the index."""
        if self._index_trouble.reason is not None:
            self._index_trouble.end("works again")
            self._health.check("index", None)
            self.index_text = ""

    def worked(self) -> None:
        """A request has been answered."""
        if self.reason is not None:
            self._trouble.end("responding again")
            self._health.check("bucket", None)
            self.reason, self.text = None, ""
            self._bad.clear()
            self._hub.publish("store", self.facts())

    def facts(self) -> dict[str, Any]:
        return {"reason": self.reason, "text": self.text}

    async def keep_looking(self) -> None:
        """While the store fails, check whether it still does; otherwise send no requests."""
        backoff = Backoff(first=1.0)
        while True:
            await self._bad.wait()
            await asyncio.sleep(backoff.next())
            try:
                await self._workers.run(self._bucket.check)
            except StoreError as error:
                self.failed(error)
            else:
                self.worked()
                backoff = Backoff(first=1.0)
