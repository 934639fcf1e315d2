"""Devices whose messages are rejected or dropped: counted by name, and named while it goes on."""

from __future__ import annotations

import asyncio

from common.protocol.status import FLOODING_SENDER
from common.protocol.topics import NAME
from common.runtime.health import Health
from common.runtime.rate_limit import TokenBucket
from processor import metrics

NAMES_MAX = 100  # devices with series of their own; further ones are counted as `other`
NAMED_MAX = 5  # devices that /healthz and the fleet page name at a time
FLOOD = (100, 0.6)  # bad messages at once, and seconds until one more: beyond that it is a flood
IN_A_HURRY = 0.1  # of a bad message is what a message counts for which there is no room
QUIET = 60.0  # seconds without a flood, after which a device is not named any more


class Offenders:
    """All calls from the event loop."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._counted: set[str] = set()
        self._bad = TokenBucket(*FLOOD)
        self._named: dict[str, asyncio.TimerHandle] = {}

    def count(self, sender: str, reason: str) -> None:
        """Count a message. `sender`: the device that the broker vouches for, or nothing.

        reason: rejected, rejected_often, or hands_full, which a device in a hurry meets, too.
        """
        device = self._label(sender)
        metrics.REFUSED_OF.labels(device, reason).inc()
        if device in ("unknown", "other"):
            return
        loop = asyncio.get_running_loop()
        cost = IN_A_HURRY if reason == "hands_full" else 1
        if self._bad.try_take(device, loop.time(), cost):
            return
        if device in self._named:
            self._named[device].cancel()
        elif len(self._named) >= NAMED_MAX:
            return
        self._health.check(f"{FLOODING_SENDER}{device}", "floods")
        self._named[device] = loop.call_later(QUIET, self._forget, device)

    def _forget(self, device: str) -> None:
        del self._named[device]
        self._health.check(f"{FLOODING_SENDER}{device}", None)

    def _label(self, sender: str) -> str:
        if not NAME.fullmatch(sender):
            return "unknown"
        if sender not in self._counted and len(self._counted) >= NAMES_MAX:
            return "other"
        self._counted.add(sender)
        return sender
