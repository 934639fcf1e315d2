"""A detector as its broker sees it, without the detector: keeps each face until its receipt comes.

What may be under way, when a face without receipt is sent again, and which is sent first, are as in
detector/delivery/reliable.py; the window and its time-outs are the detector's own.
"""

from __future__ import annotations

import dataclasses
import heapq
import json
from collections.abc import Iterator

from bench.wire import Letter
from common.protocol.face import Ids
from detector.delivery.congestion import CongestionWindow
from detector.delivery.reliable import PATIENCE


@dataclasses.dataclass
class Books:
    """Of all devices together: captured = confirmed + rejected + waiting."""

    captured: int = 0
    confirmed: int = 0
    rejected: int = 0
    resent: int = 0
    again: int = 0  # receipts for a face that had one
    mismatched: int = 0  # receipts with another digest than the face's

    @property
    def waiting(self) -> int:
        return self.captured - self.confirmed - self.rejected


@dataclasses.dataclass(frozen=True)
class Ready:
    """A face that is sent again and again, each time under another id."""

    letter: Letter
    sha256: str


@dataclasses.dataclass(slots=True)
class Kept:
    """A face without receipt; times are of time.monotonic()."""

    number: int  # in order of capture
    ready: Ready
    captured: float
    sent: float = 0.0
    due: float = 0.0
    tries: int = 0


class Device:
    """One of them; it knows no connection. `times`: seconds from capture to receipt."""

    def __init__(self, faces: list[Ready], window: int, books: Books, times: list[float]) -> None:
        self._faces = faces
        self._ids = Ids()
        self._window = CongestionWindow(window)
        self._books = books
        self._times = times
        self._number = 0
        self._kept: dict[str, Kept] = {}
        self._row: list[tuple[int, int, str]] = []  # a heap of those that are not under way
        self._under_way: dict[str, Kept] = {}
        self._bytes = 0  # of these
        self.confirmed: list[str] = []  # ids

    def capture(self, at: float) -> None:
        """A face comes, due `at`."""
        id = self._ids.next()
        ready = self._faces[self._number % len(self._faces)]
        self._kept[id] = Kept(self._number, ready, at)
        self._number += 1
        self._books.captured += 1
        self._queue(id)

    def _queue(self, id: str) -> None:
        """The newest first, behind all others what has been tried in vain."""
        kept = self._kept[id]
        vain = kept.tries if kept.tries > PATIENCE else 0
        heapq.heappush(self._row, (vain, -kept.number, id))

    def admitted(self, now: float) -> Iterator[list[bytes]]:
        """The packets to send now, each in parts; from now on they are under way."""
        while self._row:
            id = self._row[0][2]
            kept = self._kept.get(id)
            if kept is not None:  # else its receipt came while it waited to be sent again
                size = len(kept.ready.letter.payload)
                if not self._window.admits(len(self._under_way), self._bytes, size):
                    return
                self._under_way[id] = kept
                self._bytes += size
                yield self._sent(id, kept, now)
            heapq.heappop(self._row)

    def _sent(self, id: str, kept: Kept, now: float) -> list[bytes]:
        kept.tries += 1
        kept.sent = now
        kept.due = now + self._window.timeout
        self._books.resent += kept.tries > 1
        return kept.ready.letter.parts(id.encode(), 0)

    def look(self, now: float) -> None:
        """Take back what has had no receipt in time: it is to be sent again."""
        late = [id for id, kept in self._under_way.items() if kept.due <= now]
        if late:
            self._window.on_timeout(now)
        for id in late:
            self._land(id)
            self._queue(id)

    def _land(self, id: str) -> None:
        kept = self._under_way.pop(id, None)
        if kept is not None:
            self._bytes -= len(kept.ready.letter.payload)

    def hear(self, receipt: bytes, now: float) -> None:
        """A receipt comes, as JSON."""
        told = json.loads(receipt)
        id = told["id"]
        kept = self._kept.get(id)
        if kept is None:
            self._books.again += 1
            return
        if told["sha256"] != kept.ready.sha256:
            self._books.mismatched += 1  # its time will run out
            return
        took = now - kept.sent if kept.tries == 1 else None
        self._window.on_receipt(len(kept.ready.letter.payload), took)
        self._land(id)
        del self._kept[id]
        if told["outcome"] != "stored":
            self._books.rejected += 1
            return
        self._books.confirmed += 1
        self.confirmed.append(id)
        self._times.append(now - kept.captured)
