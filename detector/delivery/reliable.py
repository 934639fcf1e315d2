"""`DELIVERY=receipt`: a face is kept until its receipt comes, and sent again when none does."""

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
CACHE = 8 * 1024 * 1024  # bytes of pictures that were just kept and are not sent yet
PATIENCE = 3  # tries before a face has to wait behind the others
AT_A_TIME = 16  # pictures read from the disk for one round of sending


@dataclasses.dataclass
class InFlightFace:
    """A face without receipt. Times are of time.monotonic()."""

    entry: OutboxEntry
    tries: int = 0
    sent_at: float = 0.0
    due: float = float("inf")
    spoilt: bool = False  # answered with another digest: not lost, so no sign of a slow link


class ReliableDelivery:
    """Window, time-outs and resending, over the shelf. All calls from the event loop."""

    def __init__(
        self,
        link: Client,
        topic: str,
        device: str,
        shelf: OutboxQueue,
        window: CongestionWindow,
        newest_first: bool,
    ) -> None:
        self._link = link
        self._topic = topic
        self._topics = Topics(topic)
        self._shelf = shelf
        self._sign = -1 if newest_first else 1
        self._kept: dict[str, InFlightFace] = {}
        self._row: list[tuple[int, int, str]] = []  # a heap of those that are not under way
        self._under_way: dict[str, InFlightFace] = {}
        self._bytes_under_way = 0
        self._cache: dict[str, OutboxPicture] = {}
        self._cached = 0
        self._seldom = RateLimitedLogger(log)
        self._timer: asyncio.TimerHandle | None = None
        self._wanted = asyncio.Event()
        self.window = window
        link.subscribe_to(self._topics.receipts(device))
        link.on_message = self._receipt
        link.on_up.append(self._wanted.set)
        link.on_down.append(self._take_back)
        shelf.on_kept = self._is_kept
        shelf.on_gone = self._is_gone
        for entry in shelf.entries.values():
            self._enter(entry)
        metrics.WAITING_BYTES.set_function(lambda: shelf.bytes)
        metrics.UNDER_WAY.set_function(lambda: len(self._under_way))

    def offer(self, face: Face) -> None:
        wall = time.time()
        self._shelf.add(face.id, face.sha256, OutboxPicture(face.png, face.facts), wall)

    def has_room(self) -> bool:
        return self._shelf.has_room(ROOM)

    def busy(self) -> bool:
        return self._shelf.pending or bool(self._kept)

    async def finish(self, until: float) -> None:
        """What waits goes on waiting, on the disk, for the next run."""
        del until
        await self._shelf.close()

    def facts(self) -> dict[str, Any]:
        return {
            "waiting_bytes": self._shelf.bytes,
            "oldest_seconds": self._shelf.oldest(),
            "under_way": len(self._under_way),
            "window_bytes": self.window.bytes,
        }

    def _is_kept(self, entry: OutboxEntry, picture: OutboxPicture) -> None:
        since = time.time() - clock.from_rfc3339(picture.facts["captured"])
        metrics.COMMIT_SECONDS.observe(max(0.0, since))
        if self._cached + entry.size <= CACHE:
            self._cache[entry.id] = picture
            self._cached += entry.size
        self._enter(entry)

    def _enter(self, entry: OutboxEntry) -> None:
        self._kept[entry.id] = InFlightFace(entry)
        self._queue(self._kept[entry.id])
        self._wanted.set()

    def _queue(self, kept: InFlightFace) -> None:
        """Into the row: in order of capture, but behind all others what has been tried in vain.

        What can never be stored, because of a fault on the way or at the store, must not hold up
        the rest.
        """
        vain = kept.tries if kept.tries > PATIENCE else 0
        heapq.heappush(self._row, (vain, self._sign * kept.entry.seq, kept.entry.id))

    def _is_gone(self, entry: OutboxEntry) -> None:
        self._land(entry.id)
        self._uncache(entry.id)
        self._kept.pop(entry.id, None)

    def _uncache(self, id: str) -> OutboxPicture | None:
        picture = self._cache.pop(id, None)
        if picture is not None:
            self._cached -= len(picture.png)
        return picture

    def _land(self, id: str) -> None:
        kept = self._under_way.pop(id, None)
        if kept is not None:
            self._bytes_under_way -= kept.entry.size

    async def keep_sending(self) -> None:
        """Send what the window admits, whenever something changes."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while batch := self._admitted():
                await self._send(batch)
            self._set_timer()

    def _admitted(self) -> list[InFlightFace]:
        """The next faces of the row that may be under way; from now on they are."""
        batch: list[InFlightFace] = []
        while self._row and self._link.up and len(batch) < AT_A_TIME:
            id = self._row[0][2]
            kept = self._kept.get(id)
            if kept is not None and id not in self._under_way:
                size = kept.entry.size
                if not self.window.admits(len(self._under_way), self._bytes_under_way, size):
                    break
                self._under_way[id] = kept
                self._bytes_under_way += size
                kept.due = float("inf")
                batch.append(kept)
            heapq.heappop(self._row)
        return batch

    async def _send(self, batch: list[InFlightFace]) -> None:
        pictures = {kept.entry.id: self._uncache(kept.entry.id) for kept in batch}
        missing = [kept.entry for kept in batch if pictures[kept.entry.id] is None]
        if missing:
            read = await self._shelf.read([entry.seq for entry in missing])
            pictures |= {entry.id: read[entry.seq] for entry in missing}
        for kept in batch:
            picture = pictures[kept.entry.id]
            if picture is None:
                self._unreadable(kept)
            elif kept.entry.id in self._under_way:
                await self._publish(kept, picture)

    def _unreadable(self, kept: InFlightFace) -> None:
        if kept.entry.seq in self._shelf.entries:
            log.error("the picture of %s is damaged on the disk (damaged)", kept.entry.id)
            self._settle(kept, accounting.drop("damaged"))
        else:
            self._is_gone(kept.entry)

    async def _publish(self, kept: InFlightFace, picture: OutboxPicture) -> None:
        facts = await self._final(kept, picture)
        if facts is None or not self._link.up:
            self._wait_again([kept.entry.id])
            return
        properties = Face(picture.png, facts).encode(self._topics)[1]
        length = len(encode_number(len(properties))) + len(properties)
        packet = len(picture.png) + length + len(self._topic) + HEADER
        if packet > self._link.max_packet:
            # The broker would end the connection, and so hold up all the others.
            self._seldom.warn("too_large", f"the broker takes no face of {packet} bytes")
            self._settle(kept, accounting.drop("too_large"))
            return
        kept.tries += 1
        kept.sent_at = time.monotonic()
        kept.due = kept.sent_at + self.window.timeout
        kept.spoilt = False
        if kept.tries > 1:
            metrics.RESENT.inc()
        self._link.publish(self._topic, picture.png, properties=properties)

    async def _final(self, kept: InFlightFace, picture: OutboxPicture) -> dict[str, str] | None:
        """The facts to publish, with the time of capture put right if the clock has been set.

        Only before the first publication, and kept on the disk before it: the key of the object
        comes of that time, and a face must not become two objects. None if it cannot be kept.
        """
        entry, facts = kept.entry, picture.facts
        if entry.final or clock.judge_clock(entry.wall) == "set":
            return facts
        shift = age.clock_shift(entry.boot, entry.ticks, entry.wall)
        if shift is not None:
            captured = clock.from_rfc3339(facts["captured"]) + shift
            facts = {**facts, "captured": clock.to_rfc3339(captured), "clock": "corrected"}
        if not await self._shelf.finish(entry, facts):
            return None
        kept.entry = dataclasses.replace(entry, final=True)
        return facts

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = min((kept.due for kept in self._under_way.values()), default=float("inf"))
        if due < float("inf"):
            wait = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._overdue)

    def _overdue(self) -> None:
        now = time.monotonic()
        overdue = [id for id, kept in self._under_way.items() if kept.due <= now]
        if not all(self._under_way[id].spoilt for id in overdue):
            self.window.timed_out(now)
        self._wait_again(overdue)
        self._wanted.set()

    def _take_back(self, _reason: str) -> None:
        """The connection is gone, and perhaps what was on it: all of it is to be sent again."""
        self._wait_again(list(self._under_way))

    def _wait_again(self, ids: list[str]) -> None:
        for id in ids:
            self._land(id)
            if id in self._kept:  # else it was dropped meanwhile
                self._queue(self._kept[id])

    def _receipt(self, message: Message, ack: Ack) -> None:
        ack()
        try:
            answer = Receipt.decode(message.payload)
        except BadMessage as error:
            self._seldom.warn("unreadable", f"a receipt cannot be read: {error}")
            return
        kept = self._kept.get(answer.id)
        if kept is None:
            return  # of another camera, or an answer to a second copy
        if answer.sha256 != kept.entry.sha256:
            self._spoilt(kept)
            return
        took = time.monotonic() - kept.sent_at if kept.tries == 1 else None
        self.window.answered(kept.entry.size, took)
        metrics.ROUND_TRIP.set(self.window.round_trip or 0.0)
        self._shelf.note(accounting.heard(time.time(), self.window.round_trip))
        if answer.outcome == "stored":
            self._settle(kept, accounting.confirm)
        else:
            reason = answer.reason or "other"
            self._seldom.warn(reason, f"the processor rejected {answer.id}")
            self._settle(kept, accounting.reject(reason))

    def _spoilt(self, kept: InFlightFace) -> None:
        """The receipt is of other bytes. To be sent again, but not at once: it would come back,
        perhaps for ever, as fast as the link goes."""
        metrics.MISMATCHES.inc()
        text = f"the receipt of {kept.entry.id} has another digest; sending again"
        self._seldom.warn("mismatch", text)
        kept.spoilt = True
        pause = min(LONGEST_TIMEOUT, LEAST_TIMEOUT * 2 ** max(0, kept.tries - 1))
        kept.due = time.monotonic() + pause
        self._set_timer()

    def _settle(self, kept: InFlightFace, entry: accounting.Event) -> None:
        self._shelf.settle(kept.entry, entry)
        self._is_gone(kept.entry)
        self._wanted.set()
