"""How long faces are kept: by the bucket's own lifecycle rule, or by the gallery's sweeper.

A lifecycle rule counts whole days since an object was stored, and works while no service
runs. The sweeper is for hours, and for stores that have no rules, or will not let us set one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time

from common.protocol.keys import OWN
from common.runtime.health import Health
from common.runtime.workers import Workers
from common.store.base import Listed, ObjectStore, StoreError
from common.store.s3.store import BATCH
from gallery import metrics
from gallery.deletion import records
from gallery.deletion.deletions import Deletions
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.store_health import StoreHealth

log = logging.getLogger(__name__)

SWEEP_EVERY = 300.0  # seconds
RULE_EVERY = 3600.0  # seconds between two looks at the rule
HOUR, DAY = 3_600_000, 86_400_000  # milliseconds


@dataclasses.dataclass
class RetentionState:
    """What pages say. `rule`: by whom days are seen to: bucket, gallery, or nobody (off), or
    unknown, before the store has answered; `reason`: why it is not the bucket."""

    days: int
    hours: float
    rule: str = "unknown"
    reason: str = ""

    def left(self, stored: int) -> int | None:
        """Seconds for which an object stored then (unix ms) may still be shown; None: no limit.

        A bucket's own rule counts whole days: it is due at the midnight (UTC) after the last one.
        """
        ends = [stored + round(self.hours * HOUR)] if self.hours else []
        if self.days:
            ends.append(-(-(stored + self.days * DAY) // DAY) * DAY)
        if not ends:
            return None
        return max(0, (min(ends) - time.time_ns() // 1_000_000) // 1000)


class Retention:
    """`keep_rule` and `keep_sweeping` are tasks."""

    def __init__(
        self,
        days: int,
        hours: float,
        index: Index,
        bucket: ObjectStore,
        deletions: Deletions,
        workers: Workers,
        standing: StoreHealth,
        health: Health,
    ) -> None:
        self.kept = RetentionState(days, hours, "unknown" if days else "off")
        self._index = index
        self._bucket = bucket
        self._deletions = deletions
        self._workers = workers
        self._standing = standing
        self._health = health
        self._news = asyncio.Event()

    async def keep_rule(self) -> None:
        """Set our lifecycle rule, or take it away with RETENTION_DAYS=0, and see that it stays."""
        while True:
            try:
                there = await self._workers.run(self._bucket.expire_after, self.kept.days)
                self._update_rule(
                    "" if there else "unsupported", "the store has no lifecycle rules"
                )
            except StoreError as error:
                self._update_rule(error.reason, str(error))
            await self._keep_records()
            await asyncio.sleep(RULE_EVERY)

    async def _keep_records(self) -> None:
        """The rule is for all that is in the bucket, records of deletions too."""
        if not self.kept.days:
            return
        half = time.time_ns() // 1_000_000 - self.kept.days * DAY // 2
        try:
            await self._workers.run(records.restart_expiry, self._bucket, half)
        except StoreError as error:
            log.warning("a record of a deletion could not be rewritten: %s", error)
            self._health.check("records", error.reason)
        else:
            self._health.check("records", None)

    def _update_rule(self, reason: str, text: str) -> None:
        kept = self.kept
        if not kept.days:
            return
        by = "gallery" if reason else "bucket"
        if (by, reason) != (kept.rule, kept.reason):
            if reason:
                log.warning("RETENTION_DAYS: %s (%s); the gallery deletes instead", text, reason)
            else:
                log.info("the bucket deletes objects %d days after they were stored", kept.days)
        kept.rule, kept.reason = by, reason
        self.news()
        # A store that has no rules is no trouble; one that will not let us is for a person to see.
        self._health.check("lifecycle", reason if reason not in ("", "unsupported") else None)

    @property
    def limit(self) -> int | None:
        """Milliseconds after which the sweeper deletes; None: it does not."""
        limits = [round(self.kept.hours * HOUR)] if self.kept.hours else []
        if self.kept.days and self.kept.rule == "gallery":
            limits.append(self.kept.days * DAY)
        return min(limits, default=None)

    def news(self) -> None:
        """The index knows more, or the rule is another: a sweep need not wait for its time."""
        self._news.set()

    async def keep_sweeping(self) -> None:
        while True:
            self._news.clear()
            for sweep in (self._sweep_buried, self._sweep_expired):
                try:
                    await sweep()
                except StoreError as error:
                    self._standing.failed(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), SWEEP_EVERY)

    def is_over(self, listed: Listed) -> bool:
        """Whether the time of an object is over that a listing has; the index may not know it."""
        limit, own = self.limit, listed.key.startswith(OWN)
        return limit is not None and not own and listed.stored < time.time_ns() // 10**6 - limit

    async def _sweep_buried(self) -> None:
        """What was deleted, and is still here."""
        lots = self._index.buried(BATCH)
        while (entries := await self._workers.run(next, lots, None)) is not None:
            await self._delete(entries, "again")

    async def _sweep_expired(self) -> None:
        limit, total = self.limit, 0
        if limit is None:
            return
        before = time.time_ns() // 1_000_000 - limit
        lots = self._index.expired(before, BATCH)
        while (entries := await self._workers.run(next, lots, None)) is not None:
            total += await self._delete(entries, "retention")
        if total:
            log.info("deleted %d objects past their retention", total)

    async def _delete(self, entries: list[Entry], by: str) -> int:
        failed = await self._workers.run(self._bucket.delete, [entry.key for entry in entries])
        deleted = [entry.ref for entry in entries if entry.key not in failed]
        await self._deletions.forget(deleted)
        metrics.DELETED.labels(by).inc(len(deleted))
        if failed:
            reason = next(iter(failed.values()))
            log.warning("%d objects could not be deleted (%s)", len(failed), reason)
        return len(deleted)
