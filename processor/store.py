"""The processor's loop: take a face, judge it, put it, answer."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import OrderedDict
from typing import Any

from common import keys, status
from common.backoff import Backoff
from common.connection import Ack
from common.cos.errors import FOR_A_PERSON, StoreError
from common.face import CONTENT_TYPE
from common.health import Health
from common.link import Link
from common.logs import Seldom, Trouble
from common.message import Message
from common.metrics import total
from common.service import FINISH_WITHIN, Service
from common.settings import SettingsError
from common.workers import Workers
from processor import metrics
from processor.answers import Answers, Receipt, receipt
from processor.bucket import Bucket
from processor.judge import Arrival, Verdict, judge
from processor.settings import Settings

log = logging.getLogger(__name__)

REMEMBERED = 5_000  # answered faces, about 5 MB; a copy of one of them is answered, not stored
_Name = tuple[bytes, str]  # Correlation Data and SHA-256: the same face, the same bytes


class Store:
    """Faces in hand, from the broker to the bucket. All calls from the event loop."""

    def __init__(self, settings: Settings, link: Link, bucket: Bucket, health: Health) -> None:
        self._settings = settings
        self._root = settings.mqtt_topic
        self._answers = Answers(link, self._root)
        self._bucket = bucket
        self._health = health
        self._trouble = Trouble(log, f"bucket {settings.bucket}")
        self._workers = Workers("put", settings.uploads)
        self._seldom = Seldom(log)
        self._in_hand: dict[asyncio.Task[None], int] = {}
        self._names: set[_Name] = set()
        self._failing: set[str] = set()  # keys that the store has not taken at the first try
        self._answered: OrderedDict[_Name, Receipt] = OrderedDict()
        self._bytes = 0
        link.on_message = self._take
        link.manual_ack = True
        for topic in (self._root, f"{self._root}/from/+"):
            link.subscribe_to(f"$share/processors/{topic}")
        metrics.IN_HAND.set_function(lambda: len(self._in_hand))
        metrics.IN_HAND_BYTES.set_function(lambda: self._bytes)

    def _take(self, message: Message, ack: Ack) -> None:
        arrival = _arrival(message)
        metrics.RECEIVED.inc()
        size = len(arrival.payload)
        if self._in_hand and self._bytes + size > self._settings.hand_max_mb * 1024 * 1024:
            # Its sender still has it, and sends it again; who publishes and forgets, forgets.
            metrics.DROPPED.labels("hands_full").inc()
            ack()
            return
        task = asyncio.create_task(self._handle(arrival))
        self._in_hand[task] = size
        self._bytes += size
        task.add_done_callback(self._put_down)
        task.add_done_callback(lambda _: ack())

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._bytes -= self._in_hand.pop(task)
        if task.cancelled():
            metrics.DROPPED.labels("shutdown").inc()
        elif task.exception() is not None:
            log.error("a face could not be handled", exc_info=task.exception())
            metrics.DROPPED.labels("fault").inc()

    async def _handle(self, arrival: Arrival) -> None:
        verdict = await self._workers.run(judge, arrival, self._root)
        name = None if arrival.correlation is None else (arrival.correlation, verdict.sha256)
        if name is None:
            # Without an id each message is a face of its own, even with the bytes of another.
            await self._keep(arrival, verdict)
        elif name in self._answered:
            metrics.DUPLICATES.inc()
            self._answers.answer(arrival, verdict, self._answered[name])
        elif name in self._names:
            metrics.DUPLICATES.inc()  # whoever has it in hand will answer
        else:
            self._names.add(name)
            try:
                receipt = await self._keep(arrival, verdict)
            finally:
                self._names.discard(name)
            if receipt is not None:
                self._answered[name] = receipt
                if len(self._answered) > REMEMBERED:
                    self._answered.popitem(last=False)

    async def _keep(self, arrival: Arrival, verdict: Verdict) -> Receipt | None:
        """Store or reject, then answer; None when neither was possible."""
        key = keys.key(self._settings.key_template, verdict.facts, verdict.captured)
        if verdict.reason is None:
            try:
                await self._put(key, arrival.payload, CONTENT_TYPE, verdict.facts)
            except StoreError as error:
                verdict = _refused(verdict, str(error))
        if verdict.reason is not None:
            return await self._reject(arrival, verdict)
        metrics.STORED.inc()
        metrics.STORED_BYTES.inc(len(arrival.payload))
        self._answers.announce(key, verdict, len(arrival.payload))
        return self._answers.answer(arrival, verdict, receipt(verdict, "stored", key))

    async def _reject(self, arrival: Arrival, verdict: Verdict) -> Receipt | None:
        reason = verdict.reason or ""
        facts = verdict.facts
        key = keys.rejected(facts["device"], reason, facts["id"])
        kept = {name: facts[name] for name in ("id", "device", "camera", "captured")}
        self._seldom.warn(reason, f"rejected a message on {arrival.topic!r}: {verdict.text}")
        try:
            await self._put(
                key, arrival.payload, "application/octet-stream", {**kept, "reason": reason}
            )
        except StoreError as error:
            self._seldom.warn("not_kept", f"not even a copy can be kept: {error}")
            metrics.DROPPED.labels(error.reason).inc()
            return None
        metrics.REJECTED.labels(reason).inc()
        return self._answers.answer(arrival, verdict, receipt(verdict, "rejected", key))

    async def _put(self, key: str, body: bytes, kind: str, metadata: dict[str, str]) -> None:
        """Put until it is there.

        Raises:
            StoreError: refused, when the store does not want this very object.
        """
        backoff = Backoff(first=0.2)
        while True:
            started = time.monotonic()
            try:
                await self._workers.run(self._bucket.put, key, body, kind, metadata)
            except StoreError as error:
                metrics.RETRIES.labels(error.reason).inc()
                if error.reason == "refused":
                    self._failing.discard(key)
                    raise
                self._failing.add(key)
                self._trouble.begin(error.reason, str(error))
                self._health.check("bucket", error.reason)
                await asyncio.sleep(backoff.next())
            else:
                metrics.PUT_SECONDS.observe(time.monotonic() - started)
                self._failing.discard(key)
                # A store that takes every other face is in trouble still, which is said once.
                if self._trouble.reason is not None and not self._failing:
                    self._trouble.end("takes objects again")
                    self._health.check("bucket", None)
                return

    def facts(self) -> dict[str, Any]:
        return {
            "stored": total(metrics.STORED),
            "in_hand": len(self._in_hand),
            "in_hand_bytes": self._bytes,
        }

    async def finish(self, within: float) -> None:
        """Store what is in hand; what cannot be stored in time is let go, without a receipt."""
        until = time.monotonic() + within
        while self._in_hand and time.monotonic() < until:  # some may still come off the wire
            await asyncio.wait(list(self._in_hand), timeout=until - time.monotonic())
        left = list(self._in_hand)
        if left:
            text = "%d faces are let go unstored: who waits for receipts still has them"
            log.warning(text, len(left))
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _arrival(message: Message) -> Arrival:
    properties = message.properties
    return Arrival(
        message.topic,
        bytes(message.payload),
        tuple(getattr(properties, "UserProperty", ())),
        getattr(properties, "CorrelationData", None),
        getattr(properties, "ResponseTopic", None),
        time.time(),
    )


def _refused(verdict: Verdict, text: str) -> Verdict:
    return Verdict(verdict.facts, verdict.captured, verdict.sha256, "refused", text)


async def _open(settings: Settings, service: Service) -> Bucket | None:
    """Show that writing works before anything is taken; None when told to stop before that."""
    bucket = Bucket(settings)
    opener = Workers("open")
    trouble = Trouble(log, f"bucket {settings.bucket}")
    backoff = Backoff()
    service.health.check("bucket", "connecting")
    while not service.stopping.is_set():
        try:
            await service.until_stopped(opener.run(bucket.probe))
            if service.stopping.is_set():
                return None
        except StoreError as error:
            if error.reason in FOR_A_PERSON:
                raise SettingsError([str(error)]) from None
            trouble.begin(error.reason, str(error))
            service.health.check("bucket", error.reason)
            await service.pause(backoff.next())
        else:
            service.health.check("bucket", None)
            trouble.end(f"can be written to, at {settings.endpoint}")
            return bucket
    return None


async def run(settings: Settings, service: Service) -> int:
    """Store faces until told to stop."""
    bucket = await _open(settings, service)
    if bucket is None:
        return 0
    replica = f"{settings.instance}-{os.urandom(4).hex()}"
    link = Link(settings.broker("cloud"), f"processor-{replica}", service.health, settings.mqtt_qos)
    store = Store(settings, link, bucket, service.health)
    topic = status.topic(settings.mqtt_topic, settings.device, "processor", settings.instance)
    own_status = status.Status(link, topic, service.health, store.facts)
    service.spawn(link.keep_up(), "broker")
    service.spawn(own_status.keep_publishing(), "status")
    await service.until_stopped()
    link.stop_taking()
    await store.finish(FINISH_WITHIN)
    own_status.clear()
    await link.leave()
    return 0
