"""How long faces are kept: by the bucket's own lifecycle rule, or by a sweeper of ours.

A lifecycle rule goes by whole days since an object was stored, and works while nothing of ours
runs. The sweeper is for hours, and for stores that have no rules, or will not let us set one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time

from common.cos.errors import StoreError
from common.health import Health
from common.workers import Workers
from gallery import metrics, records
from gallery.bucket import BATCH, Bucket
from gallery.deletions import Deletions
from gallery.index import Index
from gallery.standing import Standing

log = logging.getLogger(__name__)

SWEEP_EVERY = 300.0  # seconds
RULE_EVERY = 3600.0  # seconds between two looks at the rule
HOUR, DAY = 3_600_000, 86_400_000  # milliseconds


@dataclasses.dataclass
class Kept:
    """What pages say. `rule`: by whom days are seen to: bucket, gallery, or nobody (off), or
    unknown, before the store has answered; `reason`: why it is not the bucket."""

    days: int
    hours: float
    rule: str = "unknown"
    reason: str = ""


class Retention:
    """`keep_rule` and `keep_sweeping` are tasks."""

    def __init__(
        self,
        days: int,
        hours: float,
        index: Index,
        bucket: Bucket,
        deletions: Deletions,
        workers: Workers,
        standing: Standing,
        health: Health,
    ) -> None:
        self.kept = Kept(days, hours, "unknown" if days else "off")
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
                there = await self._workers.run(self._bucket.lifecycle.keep, self.kept.days)
                self._settled("" if there else "unsupported", "the store has no lifecycle rules")
                if self.kept.days:
                    half = time.time_ns() // 1_000_000 - self.kept.days * DAY // 2
                    await self._workers.run(records.keep, self._bucket, half)
            except StoreError as error:
                self._settled(error.reason, str(error))
            await asyncio.sleep(RULE_EVERY)

    def _settled(self, reason: str, text: str) -> None:
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
            try:
                await self._sweep()
            except StoreError as error:
                self._standing.failed(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), SWEEP_EVERY)

    async def _sweep(self) -> None:
        buried = await self._workers.run(self._index.buried, BATCH)
        if buried:  # whose deletion had failed
            await self._delete([one.key for one in buried], [one.ref for one in buried], "again")
        total = 0
        while self.limit is not None:
            before = time.time_ns() // 1_000_000 - self.limit
            entries = await self._workers.run(self._index.expired, before, BATCH)
            keys, refs = [one.key for one in entries], [one.ref for one in entries]
            deleted = await self._delete(keys, refs, "retention") if entries else 0
            total += deleted
            if deleted < BATCH:
                break
        if total:
            log.info("deleted %d objects whose time was over", total)

    async def _delete(self, keys: list[str], refs: list[str], by: str) -> int:
        failed = await self._workers.run(self._bucket.delete, keys)
        deleted = [ref for key, ref in zip(keys, refs, strict=True) if key not in failed]
        await self._deletions.forget(deleted)
        metrics.DELETED.labels(by).inc(len(deleted))
        return len(deleted)
