"""`DELIVERY=receipt`: a face is kept until its receipt comes, and sent again when none does."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import re
import time
from collections import OrderedDict

from paho.mqtt.client import MQTTMessage

from common.face import Face
from common.link import Ack, Link
from detector import metrics
from detector.books import Books
from detector.delivery import ROOM
from detector.window import LEAST_TIMEOUT, LONGEST_TIMEOUT, Window

log = logging.getLogger(__name__)

HEADER = 16  # bytes of a PUBLISH before its topic, at most
OVERHEAD = 2048  # bytes that a face costs in memory beyond its PNG, about
_REASON = re.compile(r"[a-z_]{1,40}")


@dataclasses.dataclass
class Kept:
    """A face without receipt. Times are of time.monotonic()."""

    face: Face
    sha256: str
    size: int
    tries: int = 0
    sent_at: float = 0.0
    due: float = 0.0
    spoilt: bool = False  # answered with another digest: not lost, so no sign of a slow link


class Receipts:
    """Window, time-outs and resending; in memory. All calls from the event loop."""

    def __init__(
        self, link: Link, topic: str, device: str, books: Books, max_bytes: int, max_faces: int
    ) -> None:
        self._link = link
        self._topic = topic
        self._response_topic = f"{topic}/receipts/{device}"
        self._books = books
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[str, Kept] = OrderedDict()
        self._under_way: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._bytes_under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self.window = Window(max_faces)
        link.subscribe_to(self._response_topic)
        link.on_message = self._receipt
        link.on_up.append(self._pump)
        link.on_down.append(self._take_back)
        metrics.WAITING_BYTES.set_function(lambda: self._bytes)
        metrics.UNDER_WAY.set_function(lambda: len(self._under_way))

    def offer(self, face: Face) -> None:
        self._books.capture()
        kept = Kept(face, face.sha256, len(face.png) + OVERHEAD)
        self._waiting[face.id] = kept
        self._bytes += kept.size
        while self._bytes > self._max_bytes and len(self._waiting) + len(self._under_way) > 1:
            self._drop_oldest()
        self._pump()

    def has_room(self) -> bool:
        return self._bytes <= self._max_bytes * ROOM

    def _drop_oldest(self) -> None:
        # What is under way is older than what was never sent, yet nearest to its receipt. The
        # last one in the row may be the face that has just come.
        row = self._waiting if len(self._waiting) > 1 or not self._under_way else self._under_way
        self._books.drop("full")
        self._forget(next(iter(row)))

    def _forget(self, id: str) -> Kept:
        kept = self._under_way.pop(id, None)
        if kept is not None:
            self._bytes_under_way -= kept.size
        else:
            kept = self._waiting.pop(id)
        self._bytes -= kept.size
        return kept

    def _pump(self) -> None:
        """Send what the window admits."""
        while self._waiting and self._link.up:
            id, kept = next(iter(self._waiting.items()))
            properties = kept.face.properties(self._response_topic)
            packet = len(kept.face.png) + len(properties.pack()) + len(self._topic) + HEADER
            if packet > self._link.max_packet:
                # The broker would end the connection, and so hold up all the others.
                log.error("the broker takes no face of %d bytes (too_large)", packet)
                self._forget(id)
                self._books.drop("too_large")
                continue
            if not self.window.admits(len(self._under_way), self._bytes_under_way, kept.size):
                break
            del self._waiting[id]
            kept.tries += 1
            kept.sent_at = time.monotonic()
            kept.due = kept.sent_at + self.window.timeout
            kept.spoilt = False
            self._under_way[id] = kept
            self._bytes_under_way += kept.size
            if kept.tries > 1:
                metrics.RESENT.inc()
            self._link.publish(self._topic, kept.face.png, properties=properties)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way:
            wait = min(kept.due for kept in self._under_way.values()) - time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wait), self._overdue)

    def _overdue(self) -> None:
        now = time.monotonic()
        overdue = [id for id, kept in self._under_way.items() if kept.due <= now]
        if not all(self._under_way[id].spoilt for id in overdue):
            self.window.timed_out(now)
        self._wait_again(overdue)
        self._pump()

    def _take_back(self, _reason: str) -> None:
        """The connection is gone, and perhaps what was on it: all of it is to be sent again."""
        self._wait_again(list(self._under_way))
        self._set_timer()

    def _wait_again(self, ids: list[str]) -> None:
        for id in reversed(ids):
            kept = self._under_way.pop(id)
            self._bytes_under_way -= kept.size
            self._waiting[id] = kept
            self._waiting.move_to_end(id, last=False)

    def _receipt(self, message: MQTTMessage, ack: Ack) -> None:
        ack()
        try:
            receipt = json.loads(message.payload)
            id, digest = str(receipt["id"]), str(receipt["sha256"])
            outcome, reason = str(receipt["outcome"]), str(receipt.get("reason"))
            if outcome not in ("stored", "rejected"):
                raise ValueError(outcome)
        except (ValueError, TypeError, KeyError):
            log.warning("a receipt cannot be read: %r", message.payload[:80])
            return
        kept = self._under_way.get(id) or self._waiting.get(id)
        if kept is None:
            return  # of another camera, or an answer to a second copy
        if digest != kept.sha256:
            metrics.MISMATCHES.inc()
            log.warning("the receipt of %s has another digest; it will be sent again", id)
            # Not at once: it would come back, perhaps for ever, as fast as the link goes.
            kept.spoilt = True
            kept.due = time.monotonic() + min(
                LONGEST_TIMEOUT, LEAST_TIMEOUT * 2 ** (kept.tries - 1)
            )
            self._set_timer()
            return
        took = time.monotonic() - kept.sent_at if kept.tries == 1 else None
        self.window.answered(kept.size, took)
        metrics.ROUND_TRIP.set(self.window.round_trip or 0.0)
        self._forget(id)
        if outcome == "stored":
            self._books.confirm()
        else:
            reason = reason if _REASON.fullmatch(reason) else "other"
            log.warning("the processor rejected %s (%s)", id, reason)
            self._books.reject(reason)
        self._pump()

    def clear(self, reason: str) -> None:
        for id in [*self._under_way, *self._waiting]:
            self._forget(id)
            self._books.drop(reason)
        self._set_timer()
