"""The interface of delivery: it is responsible for a face from encoding until its outcome is known.

`FireAndForget` is the simple one (DELIVERY=once); `reliable.py` has the other.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from common.mqtt import Client, OutboundMessage, SendQueue
from common.protocol.face import Face
from common.protocol.topics import Topics
from detector.outbox import accounting
from detector.outbox.accounting import Accounts

ROOM = 0.5  # reading a file pauses while more than this share of the room for faces is taken


class Delivery(Protocol):
    """How faces leave the box."""

    def offer(self, face: Face) -> None:
        """Take a face. Never blocks: when there is no room, the oldest is dropped."""

    def has_room(self) -> bool:
        """Whether a source that can wait should continue."""

    def busy(self) -> bool:
        """Whether the outcome of any face is still open."""

    async def finish(self, until: float) -> None:
        """Deliver what is possible until `until` (of time.monotonic()); account for the rest."""

    def figures(self) -> dict[str, Any]:
        """Figures for the status message."""


class FireAndForget:
    """Publish and forget, as in QoS 0; faces that cannot be sent yet wait in bounded memory."""

    def __init__(self, client: Client, topic: str, accounts: Accounts, max_bytes: int) -> None:
        self._topic = topic
        self._accounts = accounts
        self._max_bytes = max_bytes
        self._queue = SendQueue(client, max_bytes)
        self._topics = Topics(topic)

    def offer(self, face: Face) -> None:
        self._accounts.write(accounting.capture)
        png, properties = face.encode(self._topics)
        self._queue.put(OutboundMessage(self._topic, png, properties, on_settled=self._on_settled))

    def _on_settled(self, reason: str | None) -> None:
        self._accounts.write(accounting.send if reason is None else accounting.drop(reason))

    def has_room(self) -> bool:
        return self._queue.bytes <= self._max_bytes * ROOM

    def busy(self) -> bool:
        return bool(self._accounts.waiting)

    async def finish(self, until: float) -> None:
        await wait_until_drained(self, until)
        self._queue.clear("shutdown")

    def figures(self) -> dict[str, Any]:
        return {"waiting_bytes": self._queue.bytes}


async def wait_until_drained(delivery: Delivery, until: float = float("inf")) -> None:
    """Wait until every face's outcome is known, or until `until` (of time.monotonic())."""
    while delivery.busy() and time.monotonic() < until:
        await asyncio.sleep(0.02)
