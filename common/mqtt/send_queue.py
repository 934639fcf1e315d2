"""A bounded buffer in front of a link: what cannot be sent yet waits here, not in paho.

paho's own queue for QoS 0 has no bound and is forgotten, silently, at each reconnect. Here the
oldest is dropped and counted when the bound is reached, a newer copy takes its elder's place, and
what was handed over but not sent when a connection ended is sent by the next one.
"""

from __future__ import annotations

import copy
import struct
import time
from collections import OrderedDict
from collections.abc import Hashable
from functools import partial

from common.mqtt.client import Client
from common.mqtt.packet_stream import Buffer, Done, ignore_outcome
from common.mqtt.property_cache import EXPIRY

# Bytes given to the connection at a time, one message at least, by QoS. At 0 they are off our hands
# when the kernel has them; at 1 when the broker has acknowledged them, a round trip later, and to
# wait for that with few under way would make the distance the limit.
HANDED_OVER = (256 * 1024, 4 * 1024 * 1024)
MAX_TRIES = 3  # connections that one message may see end under it before it is given up
OVERHEAD = 1024  # bytes that a waiting message costs beyond those of the message itself, about


class OutboundMessage:
    """One message on its way. `key` makes a later parcel with the same key take its place."""

    __slots__ = (
        "expires_at",
        "key",
        "payload",
        "properties",
        "retain",
        "settled",
        "size",
        "topic",
        "tries",
    )

    def __init__(
        self,
        topic: str,
        payload: Buffer,
        properties: bytes = b"",  # all but the expiry, without their length
        retain: bool = False,
        key: Hashable = None,
        expires_at: float | None = None,  # time.monotonic(), for a Message Expiry Interval
        settled: Done = ignore_outcome,  # called once: None when sent, else why not, or "replaced"
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.retain = retain
        self.key = key
        self.expires_at = expires_at
        self.settled = settled
        self.tries = 0  # connections that it saw end
        self.size = len(payload) + len(properties) + OVERHEAD

    def sendable(self) -> bytes:
        """The properties, with the Message Expiry Interval less the time spent here (3.3.2.3.3)."""
        if self.expires_at is None:
            return self.properties
        left = max(1, round(self.expires_at - time.monotonic()))
        return struct.pack("!BL", EXPIRY, left) + self.properties

    def again(self, settled: Done) -> OutboundMessage:
        """A copy, to be sent once more."""
        copied = copy.copy(self)
        copied.settled, copied.tries = settled, 0
        return copied


class SendQueue:
    """First in, first out; drops the oldest. All calls from the event loop."""

    def __init__(self, link: Client, max_bytes: int) -> None:
        self._link = link
        self._max_bytes = max_bytes
        self._at_a_time = HANDED_OVER[link.qos]
        self._waiting: OrderedDict[Hashable, OutboundMessage] = OrderedDict()
        self._handed: dict[OutboundMessage, None] = {}  # in this order
        self._handed_keys: dict[Hashable, OutboundMessage] = {}  # the newest of each key
        self._handed_bytes = 0
        self.bytes = 0  # waiting and handed over
        link.on_up.append(self._pump)
        link.on_down.append(self._take_back)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._handed)

    def put(self, parcel: OutboundMessage) -> bool:
        """Take a parcel; False when it took the place of an elder copy, or that is being sent."""
        key = parcel.key
        twin = None if key is None else self._handed_keys.get(key)
        if twin is not None and twin.payload == parcel.payload:
            parcel.settled("replaced")  # its twin is on the way
            return False
        self.bytes += parcel.size
        if not self._waiting and self._may_go(parcel):
            self._hand_over(parcel)
            return True
        elder = self._wait(parcel)
        while self.bytes > self._max_bytes and self._waiting:
            self._settle(self._waiting.popitem(last=False)[1], "full")
        return elder is None

    def _wait(self, parcel: OutboundMessage) -> OutboundMessage | None:
        """Let it wait, in the place of an elder copy if there is one, which is returned."""
        key = _waiting_key(parcel)
        elder = self._waiting.get(key)
        if elder is not None:
            self._settle(elder, "replaced")
        self._waiting[key] = parcel
        return elder

    def _may_go(self, parcel: OutboundMessage) -> bool:
        return self._link.up and (
            not self._handed or self._handed_bytes + parcel.size <= self._at_a_time
        )

    def _pump(self) -> None:
        while self._waiting:
            key, parcel = next(iter(self._waiting.items()))
            if not self._may_go(parcel):
                return
            del self._waiting[key]
            self._hand_over(parcel)

    def _hand_over(self, parcel: OutboundMessage) -> None:
        reason = self._unfit(parcel)
        if reason is not None:
            self._settle(parcel, reason)
            return
        self._handed[parcel] = None
        self._handed_bytes += parcel.size
        if parcel.key is not None:
            self._handed_keys[parcel.key] = parcel
        self._link.publish(
            parcel.topic,
            parcel.payload,
            retain=parcel.retain,
            properties=parcel.sendable(),
            done=partial(self._sent, parcel),
        )

    def _unfit(self, parcel: OutboundMessage) -> str | None:
        if parcel.expires_at is not None and parcel.expires_at <= time.monotonic():
            return "expired"
        if parcel.size - OVERHEAD + len(parcel.topic) + 24 > self._link.max_packet:
            return "too_large"
        return None

    def _sent(self, parcel: OutboundMessage, reason: str | None) -> None:
        if parcel not in self._handed:
            return  # it was cleared, and left all the same
        del self._handed[parcel]
        self._handed_bytes -= parcel.size
        if self._handed_keys.get(parcel.key) is parcel:
            del self._handed_keys[parcel.key]
        self._settle(parcel, reason)
        if self._waiting:
            self._pump()

    def _take_back(self, reason: str) -> None:
        """The connection ended: what it had not sent waits again, the first one behind the others.

        The first one may be what the broker would not take; behind the others it cannot hold them
        up, and after some tries it is given up.
        """
        taken, self._handed, self._handed_bytes = self._handed, {}, 0
        self._handed_keys.clear()
        for index, parcel in enumerate(reversed(taken)):
            key = _waiting_key(parcel)
            if key in self._waiting:
                self._settle(parcel, "replaced")  # by a newer one, since it was handed over
                continue
            self._waiting[key] = parcel
            if index < len(taken) - 1:
                self._waiting.move_to_end(key, last=False)
                continue
            parcel.tries += 1
            if parcel.tries >= MAX_TRIES or reason == "too_large":
                self._settle(self._waiting.pop(key), "refused")

    def _settle(self, parcel: OutboundMessage, reason: str | None) -> None:
        self.bytes -= parcel.size
        parcel.settled(reason)

    def clear(self, reason: str) -> None:
        """Give up all that is left, for `reason`."""
        for parcel in [*self._handed, *self._waiting.values()]:
            self._settle(parcel, reason)
        self._handed.clear()
        self._handed_keys.clear()
        self._handed_bytes = 0
        self._waiting.clear()


def _waiting_key(parcel: OutboundMessage) -> Hashable:
    """What it waits under: one without a key is like no other."""
    return parcel if parcel.key is None else parcel.key
