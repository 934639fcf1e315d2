"""How the gallery stands with the store: said once in the log, in /healthz, and on the pages."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from common.backoff import Backoff
from common.cos.errors import StoreError
from common.health import Health
from common.logs import Trouble
from common.workers import Workers
from gallery import metrics
from gallery.bucket import Bucket
from gallery.live import Hub

log = logging.getLogger(__name__)


class Standing:
    """`failed` and `worked` are told by whoever has asked the store for something, in the loop."""

    def __init__(self, bucket: Bucket, workers: Workers, hub: Hub, health: Health) -> None:
        self.reason: str | None = None
        self.text = ""  # the reason, in a sentence
        self._bucket = bucket
        self._workers = workers
        self._hub = hub
        self._health = health
        self._trouble = Trouble(log, f"bucket {bucket.name}")
        self._bad = asyncio.Event()

    def failed(self, error: StoreError) -> None:
        """A request has failed; what is said of a single object is no word on the store."""
        metrics.FAILURES.labels(error.reason).inc()
        if error.reason in ("missing", "refused"):
            return
        self._trouble.begin(error.reason, str(error))
        self._health.check("bucket", error.reason)
        changed = self.reason != error.reason
        self.reason, self.text = error.reason, str(error)
        self._bad.set()
        if changed:
            self._hub.publish("store", self.facts())

    def worked(self) -> None:
        """A request has been answered."""
        if self.reason is not None:
            self._trouble.end("answers again")
            self._health.check("bucket", None)
            self.reason, self.text = None, ""
            self._bad.clear()
            self._hub.publish("store", self.facts())

    def facts(self) -> dict[str, Any]:
        return {"reason": self.reason, "text": self.text}

    async def keep_looking(self) -> None:
        """While the store is in trouble, see whether it still is; else nothing is asked of it."""
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
