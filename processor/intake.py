"""The processor's loop: receive a face, validate it, store it, send its receipt."""

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

TURNS = 2  # faces at a time per thread: while one is stored, the next waits for the thread
OWN_FAULT_TRIES = 3  # tries, while other faces are stored, after which the face itself is at fault


class Intake:
    """Faces in progress, from the broker to the bucket. Call it from the event loop only."""

    def __init__(
        self, settings: ProcessorSettings, client: Client, bucket: ObjectStore, health: Health
    ) -> None:
        self._settings = settings
        self._root = settings.mqtt_topic
        self._topics = Topics(self._root)
        self._receipts = Receipts(client, self._root)
        self._duplicates = Duplicates()
        self._uploader = Uploader(bucket.put, self._duplicates, self._root, settings.key_template)
        self._health = health
        self._offenders = Offenders(health)
        self._trouble = StateLogger(log, f"bucket {settings.bucket}")
        self._workers = Workers("put", settings.uploads)
        self._limited_log = RateLimitedLogger(log)
        self._shares = Shares(settings.hand_max_mb * 1024 * 1024, TURNS * settings.uploads)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._failing: set[str] = set()  # keys that the store did not accept at the first try
        client.on_message = self._on_message
        client.manual_ack = True
        for topic in (self._root, f"{self._root}/from/+"):
            client.subscribe_to(f"$share/processors/{topic}")
        metrics.IN_HAND.set_function(lambda: len(self._in_hand))
        metrics.IN_HAND_BYTES.set_function(lambda: self._shares.bytes)

    def _on_message(self, message: Message, ack: Ack) -> None:
        arrival = _to_arrival(message)
        metrics.RECEIVED.inc()
        sender, size = self._sender_of(arrival), len(arrival.payload)
        if not self._shares.admit(sender, size):
            # With DELIVERY=receipt its sender still has it, and sends it again.
            metrics.DROPPED.labels("hands_full").inc()
            self._offenders.count(sender, "hands_full")
            ack()
            return
        task = asyncio.create_task(self._handle(arrival, sender))
        self._in_hand.add(task)
        task.add_done_callback(partial(self._release, sender, size))
        task.add_done_callback(lambda _: ack())

    def _sender_of(self, arrival: Arrival) -> str:
        """The device that the broker vouches for; all senders on the shared topic count as one."""
        return self._topics.sender(arrival.topic) or ""

    def _release(self, sender: str, size: int, task: asyncio.Task[None]) -> None:
        self._shares.release(sender, size)
        self._in_hand.discard(task)
        if task.cancelled():
            metrics.DROPPED.labels("shutdown").inc()
        elif (error := task.exception()) is not None:
            self._limited_log.error("fault", "unexpected error while handling a face", error)
            metrics.DROPPED.labels("fault").inc()

    async def _handle(self, arrival: Arrival, sender: str) -> None:
        async with self._shares.turn(sender):
            upload = await self._workers.run(self._uploader.begin, arrival)
        if upload.flood:
            self._drop_flood(sender)
            return
        if upload.copy:
            metrics.DUPLICATES.inc()
            known = self._duplicates.receipt(upload.name)
            if known is not None:  # else the upload in progress will send it
                self._receipts.send(upload, known)
            return
        receipt = None
        try:
            receipt = await self._finish(upload)
        finally:
            self._duplicates.release(upload.name, receipt)

    def _drop_flood(self, sender: str) -> None:
        """Count an invalid message that arrives faster than such are kept, and log the sender."""
        metrics.DROPPED.labels("rejected_often").inc()
        self._offenders.count(sender, "rejected_often")
        name = f"device {sender}" if sender else "a sender without an identity"
        text = f"{name} sends invalid messages faster than they can be stored"
        text += f"; to cut it off, run `enroll revoke {sender}`" if sender else ""
        self._limited_log.warn("rejected_often", text)

    async def _finish(self, upload: Upload) -> Receipt | None:
        """Send the receipt once the face is stored or rejected; None if neither is possible."""
        verdict = upload.verdict
        if verdict.reason is not None:
            text = f"rejected a message on {upload.arrival.topic!r}: {verdict.text}"
            self._limited_log.warn(verdict.reason, text)
        try:
            await self._until_put(upload)
        except StoreError as error:
            if verdict.reason is None:
                if not self._uploader.may_keep(upload.arrival):
                    self._drop_flood(self._sender_of(upload.arrival))
                    return None
                rejected = self._uploader.reject(upload, error)
                await self._workers.run(rejected.attempt)
                return await self._finish(rejected)
            self._limited_log.warn("not_kept", f"cannot store a rejected message either: {error}")
            metrics.DROPPED.labels(error.reason).inc()
            return None
        if verdict.reason is None:
            metrics.STORED.inc()
            metrics.STORED_BYTES.inc(len(upload.arrival.payload))
            self._receipts.announce(upload)
        else:
            metrics.REJECTED.labels(verdict.reason).inc()
            self._offenders.count(self._sender_of(upload.arrival), "rejected")
        return self._receipts.send(upload, create_receipt(upload))

    async def _until_put(self, upload: Upload) -> None:
        """Try a failed upload again until it succeeds.

        Raises:
            StoreError: refused, if the store refuses this very object; exists, if it has another
                picture under this key.
        """
        backoff = Backoff(first=0.2)
        key = upload.object.key
        tries, stored_before = 0, total(metrics.STORED)
        while upload.failure is not None:
            tries += 1
            error = upload.failure
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
            await self._workers.run(upload.attempt)
        metrics.PUT_SECONDS.observe(upload.seconds)
        self._failing.discard(key)
        # A store that accepts only every other face still has a problem, which is logged once.
        if self._trouble.reason is not None and not self._failing:
            self._trouble.end("accepts objects again")
            self._health.check("bucket", None)

    @staticmethod
    def _is_own_fault(error: StoreError, tries: int, stored_before: float) -> bool:
        """Whether the store accepts other faces, but not this one, for an unknown reason."""
        others = total(metrics.STORED) > stored_before
        return error.reason == "not_s3" and tries >= OWN_FAULT_TRIES and others

    def figures(self) -> dict[str, Any]:
        """Figures for the status message."""
        return {
            "stored": total(metrics.STORED),
            "in_hand": len(self._in_hand),
            "in_hand_bytes": self._shares.bytes,
        }

    async def finish(self, within: float) -> None:
        """Store the faces in progress; those that take too long are dropped, without a receipt."""
        until = time.monotonic() + within
        while self._in_hand and time.monotonic() < until:  # some may still arrive
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
    """Open the store and check that it can be written to; None if the service is stopped first."""
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
            trouble.end(f"is writable at {settings.endpoint}")
            return bucket
    return None


async def run(settings: ProcessorSettings, service: Service) -> int:
    """Store faces until the service is stopped."""
    bucket = await _open_store(settings, service)
    if bucket is None:
        return 0
    replica = f"{settings.instance}-{os.urandom(4).hex()}"
    client = Client(
        settings.broker("cloud"), f"processor-{replica}", service.health, settings.mqtt_qos
    )
    intake = Intake(settings, client, bucket, service.health)
    topic = Topics(settings.mqtt_topic).status(settings.device, "processor", settings.instance)
    own_status = Presence(client, topic, service.health, intake.figures)
    service.spawn(client.keep_up(), "broker")
    service.spawn(own_status.keep_publishing(), "status")
    await service.until_stopped()
    client.unsubscribe_all()
    await intake.finish(FINISH_WITHIN)
    own_status.clear()
    await client.leave()
    bucket.close()
    return 0
