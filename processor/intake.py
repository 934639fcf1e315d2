"""The processor's loop: take a face, judge it, put it, answer."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from functools import partial
from typing import Any

from common.metrics import total
from common.mqtt import Ack, Client, Message, Presence
from common.protocol.receipt import Receipt
from common.protocol.topics import Topics
from common.runtime.backoff import Backoff
from common.runtime.health import Health
from common.runtime.logs import RateLimitedLogger, StateLogger
from common.runtime.workers import Workers
from common.service import FINISH_WITHIN, Service
from common.settings import SettingsError
from common.store.base import FOR_A_PERSON, ObjectStore, StoreError
from common.store.registry import create
from processor import metrics
from processor.duplicates import Duplicates
from processor.offenders import Offenders
from processor.receipts import Receipts, create_receipt
from processor.settings import ProcessorSettings
from processor.shares import Shares
from processor.uploads import Upload, Uploader
from processor.validation import Arrival

log = logging.getLogger(__name__)

TURNS = 2  # faces at a time for each thread: while one is put, the next one waits for its thread
OWN_FAULT_TRIES = 3  # of a face, while others are stored, after which the fault is the face's


class Intake:
    """Faces in hand, from the broker to the bucket. All calls from the event loop."""

    def __init__(
        self, settings: ProcessorSettings, link: Client, bucket: ObjectStore, health: Health
    ) -> None:
        self._settings = settings
        self._root = settings.mqtt_topic
        self._topics = Topics(self._root)
        self._answers = Receipts(link, self._root)
        self._copies = Duplicates()
        self._errands = Uploader(bucket.put, self._copies, self._root, settings.key_template)
        self._health = health
        self._offenders = Offenders(health)
        self._trouble = StateLogger(log, f"bucket {settings.bucket}")
        self._workers = Workers("put", settings.uploads)
        self._seldom = RateLimitedLogger(log)
        self._shares = Shares(settings.hand_max_mb * 1024 * 1024, TURNS * settings.uploads)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()  # keys that the store has not taken at the first try
        link.on_message = self._take
        link.manual_ack = True
        for topic in (self._root, f"{self._root}/from/+"):
            link.subscribe_to(f"$share/processors/{topic}")
        metrics.IN_HAND.set_function(lambda: len(self._in_hand))
        metrics.IN_HAND_BYTES.set_function(lambda: self._shares.bytes)

    def _take(self, message: Message, ack: Ack) -> None:
        arrival = _to_arrival(message)
        metrics.RECEIVED.inc()
        sender, size = self._sender_of(arrival), len(arrival.payload)
        if not self._shares.admit(sender, size):
            # Its sender still has it, and sends it again; who publishes and forgets, forgets.
            metrics.DROPPED.labels("hands_full").inc()
            self._offenders.count(sender, "hands_full")
            ack()
            return
        task = asyncio.create_task(self._handle(arrival, sender))
        self._in_hand.add(task)
        task.add_done_callback(partial(self._release, sender, size))
        task.add_done_callback(lambda _: ack())

    def _sender_of(self, arrival: Arrival) -> str:
        """Whom the broker vouches for; on the topic of all, they share one share."""
        return self._topics.sender(arrival.topic) or ""

    def _release(self, sender: str, size: int, task: asyncio.Task[None]) -> None:
        self._shares.release(sender, size)
        self._in_hand.discard(task)
        if task.cancelled():
            metrics.DROPPED.labels("shutdown").inc()
        elif (error := task.exception()) is not None:
            self._seldom.error("fault", "unexpected error in handling a face", error)
            metrics.DROPPED.labels("fault").inc()

    async def _handle(self, arrival: Arrival, sender: str) -> None:
        async with self._shares.turn(sender):
            errand = await self._workers.run(self._errands.begin, arrival)
        if errand.flood:
            self._flooded(sender)
            return
        if errand.copy:
            metrics.DUPLICATES.inc()
            known = self._copies.receipt(errand.name)
            if known is not None:  # else whoever has it in hand will answer
                self._answers.answer(errand, known)
            return
        answered = None
        try:
            answered = await self._finish(errand)
        finally:
            self._copies.release(errand.name, answered)

    def _flooded(self, sender: str) -> None:
        """Bad messages faster than they are kept: counted, and told without their text."""
        metrics.DROPPED.labels("rejected_often").inc()
        self._offenders.count(sender, "rejected_often")
        name = f"device {sender}" if sender else "a sender without an identity"
        text = f"{name} sends invalid messages faster than they are kept"
        text += f"; to cut it off, run `enroll revoke {sender}`" if sender else ""
        self._seldom.warn("rejected_often", text)

    async def _finish(self, errand: Upload) -> Receipt | None:
        """Answer when it is stored, or rejected; None when neither is possible."""
        verdict = errand.verdict
        if verdict.reason is not None:
            text = f"rejected a message on {errand.arrival.topic!r}: {verdict.text}"
            self._seldom.warn(verdict.reason, text)
        try:
            await self._until_put(errand)
        except StoreError as error:
            if verdict.reason is None:
                if not self._errands.may_keep(errand.arrival):
                    self._flooded(self._sender_of(errand.arrival))
                    return None
                rejected = self._errands.reject(errand, error)
                await self._workers.run(rejected.attempt)
                return await self._finish(rejected)
            self._seldom.warn("not_kept", f"not even a rejected copy can be stored: {error}")
            metrics.DROPPED.labels(error.reason).inc()
            return None
        if verdict.reason is None:
            metrics.STORED.inc()
            metrics.STORED_BYTES.inc(len(errand.arrival.payload))
            self._answers.announce(errand)
        else:
            metrics.REJECTED.labels(verdict.reason).inc()
            self._offenders.count(self._sender_of(errand.arrival), "rejected")
        return self._answers.answer(errand, create_receipt(errand))

    async def _until_put(self, errand: Upload) -> None:
        """Try again what has failed, until it is there.

        Raises:
            StoreError: refused, when the store does not want this very object; exists, when it
                has another picture under this key.
        """
        backoff = Backoff(first=0.2)
        key = errand.object.key
        tries, stored_before = 0, total(metrics.STORED)
        while errand.failure is not None:
            tries += 1
            error = errand.failure
            metrics.RETRIES.labels(error.reason).inc()
            if error.reason == "exists":
                self._failing.discard(key)
                raise error
            if error.reason == "refused" or self._is_own_fault(error, tries, stored_before):
                self._failing.discard(key)
                raise StoreError("refused", str(error))
            self._failing.add(key)
            self._trouble.begin(error.reason, str(error))
            self._health.check("bucket", error.reason)
            await asyncio.sleep(backoff.next())
            await self._workers.run(errand.attempt)
        metrics.PUT_SECONDS.observe(errand.seconds)
        self._failing.discard(key)
        # A store that takes every other face is in trouble still, which is said once.
        if self._trouble.reason is not None and not self._failing:
            self._trouble.end("accepts objects again")
            self._health.check("bucket", None)

    @staticmethod
    def _is_own_fault(error: StoreError, tries: int, stored_before: float) -> bool:
        """Whether the store takes other faces, and this one not, in words that we do not know."""
        others = total(metrics.STORED) > stored_before
        return error.reason == "not_s3" and tries >= OWN_FAULT_TRIES and others

    def facts(self) -> dict[str, Any]:
        return {
            "stored": total(metrics.STORED),
            "in_hand": len(self._in_hand),
            "in_hand_bytes": self._shares.bytes,
        }

    async def finish(self, within: float) -> None:
        """Store what is in hand; what cannot be stored in time is let go, without a receipt."""
        until = time.monotonic() + within
        while self._in_hand and time.monotonic() < until:  # some may still come off the wire
            await asyncio.wait(list(self._in_hand), timeout=until - time.monotonic())
        left = list(self._in_hand)
        if left:
            text = (
                "stopping with %d faces not stored; with DELIVERY=receipt they will be sent again"
            )
            log.warning(text, len(left))
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _to_arrival(message: Message) -> Arrival:
    properties = message.properties
    return Arrival(
        message.topic,
        bytes(message.payload),
        tuple(getattr(properties, "UserProperty", ())),
        getattr(properties, "CorrelationData", None),
        getattr(properties, "ResponseTopic", None),
        time.time(),
    )


async def _open_store(settings: ProcessorSettings, service: Service) -> ObjectStore | None:
    """Show that writing works before anything is taken; None when told to stop before that."""
    bucket = create(settings.store_options(settings.uploads))
    opener = Workers("open")
    trouble = StateLogger(log, f"bucket {settings.bucket}")
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


async def run(settings: ProcessorSettings, service: Service) -> int:
    """Store faces until told to stop."""
    bucket = await _open_store(settings, service)
    if bucket is None:
        return 0
    replica = f"{settings.instance}-{os.urandom(4).hex()}"
    link = Client(
        settings.broker("cloud"), f"processor-{replica}", service.health, settings.mqtt_qos
    )
    store = Intake(settings, link, bucket, service.health)
    topic = Topics(settings.mqtt_topic).status(settings.device, "processor", settings.instance)
    own_status = Presence(link, topic, service.health, store.facts)
    service.spawn(link.keep_up(), "broker")
    service.spawn(own_status.keep_publishing(), "status")
    await service.until_stopped()
    link.unsubscribe_all()
    await store.finish(FINISH_WITHIN)
    own_status.clear()
    await link.leave()
    bucket.close()
    return 0
