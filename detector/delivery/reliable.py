"""`DELIVERY=receipt`: each face is kept until its receipt arrives, and sent again if none does."""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import logging
import time
from typing import Any

from common.mqtt import Ack, Client, Message, encode_number
from common.protocol import clock
from common.protocol.face import Face
from common.protocol.fields import BadMessage
from common.protocol.receipt import Receipt
from common.protocol.topics import Topics
from common.runtime.logs import RateLimitedLogger
from detector import metrics
from detector.delivery.congestion import LEAST_TIMEOUT, LONGEST_TIMEOUT, CongestionWindow
from detector.delivery.interface import ROOM
from detector.outbox import accounting, age
from detector.outbox.database import OutboxEntry, OutboxPicture
from detector.outbox.queue import OutboxQueue

log = logging.getLogger(__name__)

HEADER = 16  # bytes of a PUBLISH before its topic, at most
CACHE = 8 * 1024 * 1024  # bytes of pictures that were just written and are not sent yet
PATIENCE = 3  # tries before a face has to wait behind the others
BATCH = 16  # pictures read from the disk at a time


@dataclasses.dataclass
class InFlightFace:
    """A face without a receipt. Times are of time.monotonic()."""

    entry: OutboxEntry
    tries: int = 0
    sent_at: float = 0.0
    due: float = float("inf")
    digest_mismatch: bool = False  # its receipt had another digest: not lost, so no sign of a
    # slow connection


class ReliableDelivery:
    """Window, time-outs and resending over the outbox. Call it from the event loop only."""

    def __init__(
        self,
        client: Client,
        topic: str,
        device: str,
        outbox: OutboxQueue,
        window: CongestionWindow,
        newest_first: bool,
        camera: str,
    ) -> None:
        self._client = client
        self._topic = topic
        self._topics = Topics(topic)
        self._outbox = outbox
        self._sign = -1 if newest_first else 1
        self._faces: dict[str, InFlightFace] = {}  # all that are in the outbox, by id
        self._ready_queue: list[tuple[int, int, str]] = []  # a heap of those not in flight
        self._in_flight: dict[str, InFlightFace] = {}
        self._bytes_in_flight = 0
        self._cache: dict[str, OutboxPicture] = {}
        self._cached = 0
        self._limited_log = RateLimitedLogger(log)
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self.window = window
        client.listen_to(self._topics.receipts(device), self.on_receipt)
        client.on_up.append(self._changed.set)
        client.on_down.append(self._requeue_in_flight)
        outbox.on_kept = self._on_kept
        outbox.on_gone = self._on_gone
        for entry in outbox.entries.values():
            self._add(entry)
        self._camera = camera
        metrics.WAITING_BYTES.labels(camera).set_function(lambda: outbox.bytes)
        metrics.UNDER_WAY.labels(camera).set_function(lambda: len(self._in_flight))

    def offer(self, face: Face) -> None:
        wall = time.time()
        self._outbox.add(face.id, face.sha256, OutboxPicture(face.png, face.facts), wall)

    def has_room(self) -> bool:
        return self._outbox.has_room(ROOM)

    def busy(self) -> bool:
        return self._outbox.pending or bool(self._faces)

    async def finish(self, until: float) -> None:
        """Close the outbox: faces without a receipt stay on the disk for the next run."""
        del until
        await self._outbox.close()

    def figures(self) -> dict[str, Any]:
        return {
            "waiting_bytes": self._outbox.bytes,
            "oldest_seconds": self._outbox.oldest(),
            "under_way": len(self._in_flight),
            "window_bytes": self.window.bytes,
        }

    def _on_kept(self, entry: OutboxEntry, picture: OutboxPicture) -> None:
        since = time.time() - clock.from_rfc3339(picture.facts["captured"])
        metrics.COMMIT_SECONDS.labels(self._camera).observe(max(0.0, since))
        if self._cached + entry.size <= CACHE:
            self._cache[entry.id] = picture
            self._cached += entry.size
        self._add(entry)

    def _add(self, entry: OutboxEntry) -> None:
        self._faces[entry.id] = InFlightFace(entry)
        self._make_ready(self._faces[entry.id])
        self._changed.set()

    def _make_ready(self, face: InFlightFace) -> None:
        """Queue a face by order of capture, or behind all others after many failed tries.

        A face that can never be stored, because of a fault on its way or at the store, must not
        block the rest.
        """
        failed = face.tries if face.tries > PATIENCE else 0
        heapq.heappush(self._ready_queue, (failed, self._sign * face.entry.seq, face.entry.id))

    def _on_gone(self, entry: OutboxEntry) -> None:
        self._end_flight(entry.id)
        self._uncache(entry.id)
        self._faces.pop(entry.id, None)

    def _uncache(self, id: str) -> OutboxPicture | None:
        picture = self._cache.pop(id, None)
        if picture is not None:
            self._cached -= len(picture.png)
        return picture

    def _end_flight(self, id: str) -> None:
        face = self._in_flight.pop(id, None)
        if face is not None:
            self._bytes_in_flight -= face.entry.size

    async def keep_sending(self) -> None:
        """Send what the window admits whenever something changes, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while batch := self._admit():
                await self._send(batch)
            self._set_timer()

    def _admit(self) -> list[InFlightFace]:
        """Move the next faces that the window admits into flight."""
        batch: list[InFlightFace] = []
        while self._ready_queue and self._client.up and len(batch) < BATCH:
            id = self._ready_queue[0][2]
            face = self._faces.get(id)
            if face is not None and id not in self._in_flight:
                size = face.entry.size
                if not self.window.admits(len(self._in_flight), self._bytes_in_flight, size):
                    break
                self._in_flight[id] = face
                self._bytes_in_flight += size
                face.due = float("inf")
                batch.append(face)
            heapq.heappop(self._ready_queue)
        return batch

    async def _send(self, batch: list[InFlightFace]) -> None:
        pictures = {face.entry.id: self._uncache(face.entry.id) for face in batch}
        missing = [face.entry for face in batch if pictures[face.entry.id] is None]
        if missing:
            read = await self._outbox.read([entry.seq for entry in missing])
            pictures |= {entry.id: read[entry.seq] for entry in missing}
        for face in batch:
            picture = pictures[face.entry.id]
            if picture is None:
                self._on_unreadable(face)
            elif face.entry.id in self._in_flight:
                await self._publish(face, picture)

    def _on_unreadable(self, face: InFlightFace) -> None:
        if face.entry.seq in self._outbox.entries:
            log.error("the picture of %s is damaged on the disk (damaged)", face.entry.id)
            self._settle(face, accounting.drop("damaged"))
        else:
            self._on_gone(face.entry)

    async def _publish(self, face: InFlightFace, picture: OutboxPicture) -> None:
        facts = await self._finalize(face, picture)
        if facts is None or not self._client.up:
            self._requeue([face.entry.id])
            return
        properties = Face(picture.png, facts).encode(self._topics)[1]
        length = len(encode_number(len(properties))) + len(properties)
        packet = len(picture.png) + length + len(self._topic) + HEADER
        if packet > self._client.max_packet:
            # The broker would close the connection, and so block all the others.
            text = f"the broker does not accept a face of {packet} bytes"
            self._limited_log.warn("too_large", text)
            self._settle(face, accounting.drop("too_large"))
            return
        face.tries += 1
        face.sent_at = time.monotonic()
        face.due = face.sent_at + self.window.timeout
        face.digest_mismatch = False
        if face.tries > 1:
            metrics.RESENT.labels(self._camera).inc()
        self._client.publish(self._topic, picture.png, properties=properties)

    async def _finalize(self, face: InFlightFace, picture: OutboxPicture) -> dict[str, str] | None:
        """The facts to publish, with the time of capture corrected if the clock was set since.

        Only before the first publication, and saved before it: the object's key depends on that
        time, and a face must not become two objects. None if it cannot be saved.
        """
        entry, facts = face.entry, picture.facts
        if entry.final or clock.judge_clock(entry.wall) == "set":
            return facts
        shift = age.clock_shift(entry.boot, entry.ticks, entry.wall)
        if shift is not None:
            captured = clock.from_rfc3339(facts["captured"]) + shift
            facts = {**facts, "captured": clock.to_rfc3339(captured), "clock": "corrected"}
        if not await self._outbox.finish(entry, facts):
            return None
        face.entry = dataclasses.replace(entry, final=True)
        return facts

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = min((face.due for face in self._in_flight.values()), default=float("inf"))
        if due < float("inf"):
            wait = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        now = time.monotonic()
        overdue = [id for id, face in self._in_flight.items() if face.due <= now]
        if not all(self._in_flight[id].digest_mismatch for id in overdue):
            self.window.on_timeout(now)
        self._requeue(overdue)
        self._changed.set()

    def _requeue_in_flight(self, _reason: str) -> None:
        """Send everything in flight again, since it may be lost with the connection."""
        self._requeue(list(self._in_flight))

    def _requeue(self, ids: list[str]) -> None:
        for id in ids:
            self._end_flight(id)
            if id in self._faces:  # else it was dropped meanwhile
                self._make_ready(self._faces[id])

    def on_receipt(self, message: Message, ack: Ack) -> None:
        """Take a receipt, which may be that of another camera's face."""
        ack()
        try:
            receipt = Receipt.decode(message.payload)
        except BadMessage as error:
            self._limited_log.warn("unreadable", f"a receipt cannot be read: {error}")
            return
        face = self._faces.get(receipt.id)
        if face is None:
            return  # another camera's, or for a second copy
        if receipt.sha256 != face.entry.sha256:
            self._on_digest_mismatch(face)
            return
        took = time.monotonic() - face.sent_at if face.tries == 1 else None
        self.window.on_receipt(face.entry.size, took)
        metrics.ROUND_TRIP.labels(self._camera).set(self.window.round_trip or 0.0)
        self._outbox.note(accounting.receive(time.time(), self.window.round_trip))
        if receipt.outcome == "stored":
            self._settle(face, accounting.confirm)
        else:
            reason = receipt.reason or "other"
            self._limited_log.warn(reason, f"the processor rejected {receipt.id}")
            self._settle(face, accounting.reject(reason))

    def _on_digest_mismatch(self, face: InFlightFace) -> None:
        """Send the face again, but not at once: that could go on for ever at full speed."""
        metrics.MISMATCHES.labels(self._camera).inc()
        text = f"the receipt of {face.entry.id} has a different digest; sending the face again"
        self._limited_log.warn("mismatch", text)
        face.digest_mismatch = True
        pause = min(LONGEST_TIMEOUT, LEAST_TIMEOUT * 2 ** max(0, face.tries - 1))
        face.due = time.monotonic() + pause
        self._set_timer()

    def _settle(self, face: InFlightFace, event: accounting.Event) -> None:
        self._outbox.settle(face.entry, event)
        self._on_gone(face.entry)
        self._changed.set()
