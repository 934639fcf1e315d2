"""A bounded buffer in front of a link: what cannot be sent yet waits here, not in paho.

paho's own queue for QoS 0 has no bound and is forgotten, silently, at each reconnect. Here the
oldest is dropped and counted when the bound is reached, a newer copy takes its elder's place, and
what was handed over but not sent when a connection ended is sent by the next one.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import OrderedDict
from collections.abc import Hashable
from functools import partial

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.connection import Done, ignored
from common.link import Link

HANDED_OVER = 256 * 1024  # bytes given to the connection at a time, one message at least
MAX_TRIES = 3  # connections that one message may see end under it before it is given up
OVERHEAD = 512  # bytes that a waiting message costs beyond its payload, about


@dataclasses.dataclass
class Parcel:
    """One message on its way. `key` makes a later parcel with the same key take its place."""

    topic: str
    payload: bytes
    properties: Properties | None = None
    retain: bool = False
    key: Hashable = None
    expires_at: float | None = None  # time.monotonic(), from the Message Expiry Interval
    settled: Done = ignored  # called once: None when sent, else why not, or "replaced"
    tries: int = 0

    @property
    def size(self) -> int:
        return len(self.payload) + OVERHEAD


class Outgoing:
    """First in, first out; drops the oldest. All calls from the event loop."""

    def __init__(self, link: Link, max_bytes: int) -> None:
        self._link = link
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[Hashable, Parcel] = OrderedDict()
        self._handed: OrderedDict[Hashable, Parcel] = OrderedDict()
        self._serial = itertools.count()
        self.bytes = 0  # waiting and handed over
        link.on_up.append(self._pump)
        link.on_down.append(self._take_back)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._handed)

    def put(self, parcel: Parcel) -> bool:
        """Take a parcel; False when it took the place of an elder copy, or that is being sent."""
        key = ("n", next(self._serial)) if parcel.key is None else parcel.key
        if key in self._handed and parcel.key is not None:
            parcel.settled("replaced")  # its twin is on the way
            return False
        elder = self._waiting.get(key)
        if elder is not None:
            self.bytes -= elder.size
            elder.settled("replaced")
        self._waiting[key] = parcel  # an elder's place in the row is kept
        self.bytes += parcel.size
        while self.bytes > self._max_bytes and self._waiting:
            self._give_up(self._waiting.popitem(last=False)[1], "full")
        self._pump()
        return elder is None

    def _pump(self) -> None:
        while self._waiting and self._link.up:
            key, parcel = next(iter(self._waiting.items()))
            busy = self._link.outstanding
            if busy and busy + len(parcel.payload) > HANDED_OVER:
                return
            del self._waiting[key]
            reason = self._unfit(parcel)
            if reason is not None:
                self._give_up(parcel, reason)
                continue
            self._handed[key] = parcel
            self._link.publish(
                parcel.topic,
                parcel.payload,
                retain=parcel.retain,
                properties=_counted_down(parcel),
                done=partial(self._sent, key),
            )

    def _unfit(self, parcel: Parcel) -> str | None:
        if parcel.expires_at is not None and parcel.expires_at <= time.monotonic():
            return "expired"
        properties = len(parcel.properties.pack()) if parcel.properties else 1
        if len(parcel.payload) + len(parcel.topic) + properties + 16 > self._link.max_packet:
            return "too_large"
        return None

    def _sent(self, key: Hashable, reason: str | None) -> None:
        parcel = self._handed.pop(key)
        self.bytes -= parcel.size
        parcel.settled(reason)
        self._pump()

    def _take_back(self, reason: str) -> None:
        """The connection ended: what it had not sent waits again, the first one behind the others.

        The first one may be what the broker would not take; behind the others it cannot hold them
        up, and after some tries it is given up.
        """
        taken, self._handed = self._handed, OrderedDict()
        for index, (key, parcel) in enumerate(reversed(taken.items())):
            first = index == len(taken) - 1
            self._waiting[key] = parcel
            if not first:
                self._waiting.move_to_end(key, last=False)
                continue
            parcel.tries += 1
            if parcel.tries >= MAX_TRIES or reason == "too_large":
                self._give_up(self._waiting.pop(key), "refused")

    def _give_up(self, parcel: Parcel, reason: str) -> None:
        self.bytes -= parcel.size
        parcel.settled(reason)

    def clear(self, reason: str) -> None:
        """Give up all that is left, for `reason`."""
        for parcel in [*self._handed.values(), *self._waiting.values()]:
            self._give_up(parcel, reason)
        self._handed.clear()
        self._waiting.clear()


def _counted_down(parcel: Parcel) -> Properties | None:
    """The properties, with the Message Expiry Interval less the time spent here (3.3.2.3.3)."""
    if parcel.expires_at is None or parcel.properties is None:
        return parcel.properties
    left = Properties(PacketTypes.PUBLISH)
    for name in vars(parcel.properties):
        if name not in ("packetType", "types", "names", "properties"):
            setattr(left, name, getattr(parcel.properties, name))
    left.MessageExpiryInterval = max(1, round(parcel.expires_at - time.monotonic()))
    return left
