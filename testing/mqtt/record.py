"""What a detector says, read off its wire before the broker has it: each face and its digest."""

from __future__ import annotations

import hashlib
from collections import Counter

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from testing.network.proxy import Change

_PUBLISH = 3


class Record:
    """Give `reader` to the proxy between detector and broker (`upward`); all faces stand here."""

    def __init__(self, topic: str = "faces") -> None:
        self.digests: dict[str, str] = {}  # id to SHA-256
        self.copies: Counter[str] = Counter()
        self.differing: set[str] = set()  # ids that came with two digests
        self.largest = 0  # bytes
        self._topic = topic

    def reader(self) -> Change:
        """For one connection: notes what passes, and changes nothing."""
        waiting = bytearray()

        def read(data: bytes) -> bytes:
            waiting.extend(data)
            while (packet := _packet(waiting)) is not None:
                if packet[0] >> 4 == _PUBLISH:
                    self._note(packet[0], packet[1])
            return data

        return read

    def _note(self, first: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        if body[2:end].decode() != self._topic:
            return
        if first & 0b0110:
            end += 2  # the packet identifier of QoS 1
        properties, taken = Properties(PacketTypes.PUBLISH).unpack(body[end:])
        payload = body[end + taken :]
        id, digest = dict(properties.UserProperty)["id"], hashlib.sha256(payload).hexdigest()
        if self.digests.setdefault(id, digest) != digest:
            self.differing.add(id)
        self.copies[id] += 1
        self.largest = max(self.largest, len(payload))


def _packet(waiting: bytearray) -> tuple[int, bytes] | None:
    """Take the first whole MQTT packet off; its first byte, and what follows its length."""
    sizes = [n for n in range(1, 5) if len(waiting) > n and waiting[n] < 128]
    if not sizes:
        return None
    size, taken = VariableByteIntegers.decode(bytes(waiting[1 : 2 + sizes[0]]))
    end = 1 + taken + size
    if len(waiting) < end:
        return None
    first, body = waiting[0], bytes(waiting[1 + taken : end])
    del waiting[:end]
    return first, body
