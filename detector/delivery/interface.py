"""What takes custody of a face, from the moment it is encoded until its fate is known."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from common.mqtt import Client, OutboundMessage, SendQueue
from common.protocol.face import Face
from common.protocol.topics import Topics
from detector.outbox import accounting
from detector.outbox.accounting import Accounts

ROOM = 0.5  # a file waits when the memory for faces is fuller than this


class Delivery(Protocol):
    """The one interface; `once` below, and `receipt` in receipts.py."""

    def offer(self, face: Face) -> None:
        """Take a face. Never blocks: the oldest makes room."""

    def has_room(self) -> bool:
        """Whether a source that can wait should go on."""

    def busy(self) -> bool:
        """Whether the fate of a face is open."""

    async def finish(self, until: float) -> None:
        """See off what can be until then (time.monotonic()); account for the rest."""

    def facts(self) -> dict[str, Any]:
        """For the status message."""


class FireAndForget:
    """Publish and forget, as QoS 0 says; what cannot be sent yet waits in bounded memory."""

    def __init__(self, link: Client, topic: str, own_books: Accounts, max_bytes: int) -> None:
        self._topic = topic
        self._books = own_books
        self._max_bytes = max_bytes
        self._out = SendQueue(link, max_bytes)
        self._topics = Topics(topic)

    def offer(self, face: Face) -> None:
        self._books.write(accounting.capture)
        png, properties = face.encode(self._topics)
        self._out.put(OutboundMessage(self._topic, png, properties, on_settled=self._settled))

    def _settled(self, reason: str | None) -> None:
        self._books.write(accounting.send if reason is None else accounting.drop(reason))

    def has_room(self) -> bool:
        return self._out.bytes <= self._max_bytes * ROOM

    def busy(self) -> bool:
        return bool(self._books.waiting)

    async def finish(self, until: float) -> None:
        await wait_until_drained(self, until)
        self._out.clear("shutdown")

    def facts(self) -> dict[str, Any]:
        return {"waiting_bytes": self._out.bytes}


async def wait_until_drained(delivery: Delivery, until: float = float("inf")) -> None:
    """Wait until the fate of every face is known, or for the time `until` (time.monotonic())."""
    while delivery.busy() and time.monotonic() < until:
        await asyncio.sleep(0.02)
