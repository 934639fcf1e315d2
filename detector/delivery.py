"""What takes custody of a face, from the moment it is encoded until its fate is known."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from common.face import Face
from common.link import Link
from common.outgoing import Outgoing, Parcel
from detector.books import Books

ROOM = 0.5  # a file waits when the memory for faces is fuller than this


class Delivery(Protocol):
    """The one interface; `once` below, and `receipt` in receipts.py."""

    def offer(self, face: Face) -> None:
        """Take a face; it is counted from now on. Never blocks: the oldest makes room."""

    def has_room(self) -> bool:
        """Whether a source that can wait should go on."""

    def clear(self, reason: str) -> None:
        """Give up what is left, for `reason`."""


class Once:
    """Publish and forget, as QoS 0 says; what cannot be sent yet waits in bounded memory."""

    def __init__(self, link: Link, topic: str, books: Books, max_bytes: int) -> None:
        self._topic = topic
        self._books = books
        self._max_bytes = max_bytes
        self._out = Outgoing(link, max_bytes)
        self._receipts = f"{topic}/receipts/"

    def offer(self, face: Face) -> None:
        self._books.capture()
        properties = face.properties(self._receipts + face.facts["device"])
        self._out.put(Parcel(self._topic, face.png, properties, settled=self._settled))

    def _settled(self, reason: str | None) -> None:
        if reason is None:
            self._books.send()
        else:
            self._books.drop(reason)

    def has_room(self) -> bool:
        return self._out.bytes <= self._max_bytes * ROOM

    def clear(self, reason: str) -> None:
        self._out.clear(reason)


async def drained(books: Books, until: float = float("inf")) -> None:
    """Wait until no face waits, or for the time `until` (time.monotonic())."""
    while books.waiting and time.monotonic() < until:
        await asyncio.sleep(0.02)
