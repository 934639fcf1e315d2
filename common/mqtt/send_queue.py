"""A bounded queue in front of a client: messages that cannot be sent yet wait here, not in paho.

paho's own queue for QoS 0 is unbounded, and each reconnect silently discards it. This queue drops
and counts the oldest message when it is full. A newer message replaces an older one with the same
key. What a connection took but had not sent when it ended goes out on the next one.
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

# Bytes given to the connection at a time (at least one message), by QoS. At QoS 0 a message is done
# once the kernel has it. At QoS 1 it is done when the broker has acknowledged it, a round trip
# later: with few in flight, the round trip would limit the throughput.
HANDED_OVER = (256 * 1024, 4 * 1024 * 1024)
MAX_TRIES = 3  # connections that may end while sending one message before it is given up
OVERHEAD = 1024  # bytes of memory, about, that a waiting message costs beyond its own size


class OutboundMessage:
    """One message to be sent. A later message with the same `key` replaces it."""

    __slots__ = (
        "expires_at",
        "key",
        "on_settled",
        "payload",
        "properties",
        "retain",
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
        on_settled: Done = ignore_outcome,  # called once: None when sent, else the reason word
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.retain = retain
        self.key = key
        self.expires_at = expires_at
        self.on_settled = on_settled
        self.tries = 0  # connections that ended while it was being sent
        self.size = len(payload) + len(properties) + OVERHEAD

    def encode_properties(self) -> bytes:
        """The properties, with the Message Expiry Interval that is left (section 3.3.2.3.3)."""
        if self.expires_at is None:
            return self.properties
        left = max(1, round(self.expires_at - time.monotonic()))
        return struct.pack("!BL", EXPIRY, left) + self.properties

    def copy(self, on_settled: Done) -> OutboundMessage:
        """The same message, to be sent once more."""
        copied = copy.copy(self)
        copied.on_settled, copied.tries = on_settled, 0
        return copied


class SendQueue:
    """First in, first out; drops the oldest when full. Call it from the event loop only."""

    def __init__(self, client: Client, max_bytes: int) -> None:
        self._client = client
        self._max_bytes = max_bytes
        self._at_a_time = HANDED_OVER[client.qos]
        self._waiting: OrderedDict[Hashable, OutboundMessage] = OrderedDict()
        self._in_flight: dict[OutboundMessage, None] = {}  # in the order of sending
        self._in_flight_keys: dict[Hashable, OutboundMessage] = {}  # the newest of each key
        self._in_flight_bytes = 0
        self.bytes = 0  # waiting and in flight
        client.on_up.append(self._pump)
        client.on_down.append(self._requeue_in_flight)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, message: OutboundMessage) -> bool:
        """Queue a message; False if it replaced an older one, or the same is already in flight."""
        key = message.key
        twin = None if key is None else self._in_flight_keys.get(key)
        if twin is not None and twin.payload == message.payload:
            message.on_settled("replaced")
            return False
        self.bytes += message.size
        if not self._waiting and self._can_send(message):
            self._send(message)
            return True
        replaced = self._enqueue(message)
        while self.bytes > self._max_bytes and self._waiting:
            self._settle(self._waiting.popitem(last=False)[1], "full")
        return not replaced

    def _enqueue(self, message: OutboundMessage) -> bool:
        """Let the message wait; True if it took the place of an older one with its key."""
        key = _waiting_key(message)
        older = self._waiting.get(key)
        if older is not None:
            self._settle(older, "replaced")
        self._waiting[key] = message
        return older is not None

    def _can_send(self, message: OutboundMessage) -> bool:
        return self._client.up and (
            not self._in_flight or self._in_flight_bytes + message.size <= self._at_a_time
        )

    def _pump(self) -> None:
        while self._waiting:
            key, message = next(iter(self._waiting.items()))
            if not self._can_send(message):
                return
            del self._waiting[key]
            self._send(message)

    def _send(self, message: OutboundMessage) -> None:
        reason = self._find_obstacle(message)
        if reason is not None:
            self._settle(message, reason)
            return
        self._in_flight[message] = None
        self._in_flight_bytes += message.size
        if message.key is not None:
            self._in_flight_keys[message.key] = message
        self._client.publish(
            message.topic,
            message.payload,
            retain=message.retain,
            properties=message.encode_properties(),
            done=partial(self._on_sent, message),
        )

    def _find_obstacle(self, message: OutboundMessage) -> str | None:
        if message.expires_at is not None and message.expires_at <= time.monotonic():
            return "expired"
        if message.size - OVERHEAD + len(message.topic) + 24 > self._client.max_packet:
            return "too_large"
        return None

    def _on_sent(self, message: OutboundMessage, reason: str | None) -> None:
        if message not in self._in_flight:
            return  # the queue was cleared, yet the connection still sent it
        del self._in_flight[message]
        self._in_flight_bytes -= message.size
        if self._in_flight_keys.get(message.key) is message:
            del self._in_flight_keys[message.key]
        self._settle(message, reason)
        if self._waiting:
            self._pump()

    def _requeue_in_flight(self, reason: str) -> None:
        """Queue again what the connection had not sent when it ended, the first message last.

        The first message may be the one that the broker refuses. Behind the others it cannot
        block them, and after `MAX_TRIES` connections it is given up.
        """
        unsent, self._in_flight, self._in_flight_bytes = self._in_flight, {}, 0
        self._in_flight_keys.clear()
        for index, message in enumerate(reversed(unsent)):
            key = _waiting_key(message)
            if key in self._waiting:
                self._settle(message, "replaced")  # a newer one was queued meanwhile
                continue
            self._waiting[key] = message
            if index < len(unsent) - 1:
                self._waiting.move_to_end(key, last=False)
                continue
            message.tries += 1
            if message.tries >= MAX_TRIES or reason == "too_large":
                self._settle(self._waiting.pop(key), "refused")

    def _settle(self, message: OutboundMessage, reason: str | None) -> None:
        self.bytes -= message.size
        message.on_settled(reason)

    def clear(self, reason: str) -> None:
        """Give up every message that is left, for `reason`."""
        for message in [*self._in_flight, *self._waiting.values()]:
            self._settle(message, reason)
        self._in_flight.clear()
        self._in_flight_keys.clear()
        self._in_flight_bytes = 0
        self._waiting.clear()


def _waiting_key(message: OutboundMessage) -> Hashable:
    """The key in the queue: a message without a key of its own is unique."""
    return message if message.key is None else message.key
