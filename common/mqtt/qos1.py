"""QoS 1, sender's side: messages sent and not yet acknowledged. MQTT 5, 4.3.2 and 4.9."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from common.mqtt.message import encode_publish_head
from common.mqtt.packet_stream import Buffer, Done, PacketStream
from common.mqtt.property_cache import Malformed

# paho counts its own packet identifiers, those of subscriptions, from 1 up.
FIRST, LAST = 32768, 65535
NO_SUBSCRIBERS, FAILURES = 0x10, 0x80  # reason codes: MQTT 5, section 2.4


class _HeldMessage(NamedTuple):
    topic: str
    payload: Buffer
    retain: bool
    properties: bytes
    done: Done


class InFlight:
    """Sends as many messages at once as the broker takes, and more as it acknowledges them."""

    def __init__(self, stream: PacketStream) -> None:
        self.maximum = LAST - FIRST + 1  # messages at once: the broker's Receive Maximum, if less
        self._stream = stream
        self._open: dict[int, tuple[Done, bool]] = {}
        self._held: deque[_HeldMessage] = deque()
        self._last = LAST

    def send(
        self, topic: str, payload: Buffer, retain: bool, properties: bytes, done: Done
    ) -> None:
        """Send a message; `done` is called with None once the broker has it, or with "refused"."""
        held = _HeldMessage(topic, payload, retain, properties, done)
        if self._held or len(self._open) >= self.maximum:
            self._held.append(held)
        else:
            self._send(held)

    def _send(self, held: _HeldMessage) -> None:
        topic, payload, retain, properties, done = held
        mid = self._next_packet_id()
        self._open[mid] = done, retain
        head = encode_publish_head(topic, len(payload), 1, retain, mid, properties)
        self._stream.put(head, payload)

    def _next_packet_id(self) -> int:
        while True:
            self._last = self._last + 1 if self._last < LAST else FIRST
            if self._last not in self._open:
                return self._last

    def on_puback(self, body: bytes | bytearray) -> None:
        """Settle the message that a PUBACK acknowledges: MQTT 5, section 3.4.

        Raises:
            Malformed: it is too short for a PUBACK.
        """
        if len(body) < 2:
            raise Malformed("a PUBACK of less than two bytes")
        mid = body[0] << 8 | body[1]
        done, retain = self._open.pop(mid, (None, False))
        if done is None:
            return  # for nothing in flight: treated as a duplicate
        reason = body[2] if len(body) > 2 else 0
        # "No matching subscribers" is no failure by its number, yet nobody received the message,
        # unless the broker retains it.
        refused = reason >= FAILURES or (reason == NO_SUBSCRIBERS and not retain)
        done("refused" if refused else None)
        while self._held and len(self._open) < self.maximum:
            self._send(self._held.popleft())
