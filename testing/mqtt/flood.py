"""A thief of a device that sends without pause, and an honest device beside it."""

from __future__ import annotations

import itertools
import secrets
import ssl
import threading
import time
from collections.abc import Callable

from common.protocol.face import Face
from common.protocol.topics import Topics
from testing.host.wait import until
from testing.mqtt.attacker import Attacker
from testing.mqtt.publish import encode_publish
from testing.pictures import png
from testing.services.enrolment import Peer

EMPTY_PROPERTY = b"\x26\0\0\0\0"  # a user property without name and value: MQTT 5, 3.3.2.3.7
TOPICS = Topics("faces")
CAPTURED = {"captured": "2026-03-01T12:00:00.000000Z"}
BATCH = 2_000_000  # bytes, about, that the thief writes at once

Packets = Callable[[int], bytes]  # the packets of the batch of this number


def _repeat(packet: bytes) -> Packets:
    batch = packet * max(1, BATCH // len(packet))
    return lambda _: batch


def _each(encode: Callable[[int], bytes], count: int) -> Packets:
    return lambda batch: b"".join(map(encode, range(batch * count, (batch + 1) * count)))


def encode_face(device: str, number: int, picture: bytes) -> bytes:
    """A face that the processor stores, unlike any with another number."""
    facts = {"id": f"{number:032x}", "device": device, "camera": "cam-1"}
    payload, properties = Face(picture, facts | CAPTURED).encode(TOPICS)
    return encode_publish(f"faces/from/{device}", payload, properties=properties)


def create_kinds(device: str) -> dict[str, Packets]:
    """What a thief of `device` may send, by name."""
    faces, status = f"faces/from/{device}", f"faces/status/{device}/detector"
    small = png()
    return {
        "empty messages": _repeat(encode_publish(faces)),
        "large messages": _repeat(encode_publish(faces, bytes(4_000_000))),
        "properties": _repeat(encode_publish(faces, properties=EMPTY_PROPERTY * 800_000)),
        "faces": _each(lambda number: encode_face(device, number, small), 3000),
        "statuses": _each(lambda n: encode_publish(f"{status}/{n}", b"{}", retain=True), 3000),
        "large statuses": _repeat(encode_publish(f"{status}/x", bytes(16_000), retain=True)),
    }


class Flood:
    """Sends as fast as the broker reads, until the `with` block ends; reconnects if thrown out."""

    def __init__(self, port: int, tls: ssl.SSLContext, packets: Packets) -> None:
        self.refused = 0  # connections that the broker did not accept
        self._port, self._tls, self._packets = port, tls, packets
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        numbers = itertools.count()
        while not self._stopped.is_set():
            try:
                with Attacker(self._port, self._tls) as thief:
                    while not self._stopped.is_set() and thief.send(self._packets(next(numbers))):
                        pass
            except (OSError, AssertionError):
                self.refused += 1
                self._stopped.wait(0.1)

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


class Honest:
    """A device that sends one face a second, and again what has no receipt after 3 s."""

    def __init__(self, peer: Peer, device: str) -> None:
        self._peer, self._device = peer, device
        self._receipts = f"faces/receipts/{device}"
        self._first: dict[bytes, float] = {}  # when a face was sent, by its id
        self._last: dict[bytes, float] = {}
        assert peer.may_subscribe(self._receipts)

    def send_until(self, end: float) -> None:
        """Send until the time `end` (of time.monotonic()), then wait for all receipts."""
        while (now := time.monotonic()) < end:
            self._send(secrets.token_hex(16).encode())
            self._repeat()
            time.sleep(max(0.0, now + 1 - time.monotonic()))
        until(lambda: not self._repeat(), 60, "the receipts of all faces")

    def _send(self, id: bytes) -> None:
        self._last[id] = time.monotonic()
        self._first.setdefault(id, self._last[id])
        facts = {"id": id.decode(), "device": self._device, "camera": "cam-1"}
        self._peer.send(f"faces/from/{self._device}", png(), facts | CAPTURED)

    def _repeat(self) -> set[bytes]:
        open_ = self._first.keys() - self._came()
        for id in open_:
            if self._last[id] < time.monotonic() - 3:
                self._send(id)
        return open_

    def _came(self) -> dict[bytes, float]:
        came: dict[bytes, float] = {}
        for message in list(self._peer.messages):
            if message.topic == self._receipts:
                came.setdefault(message.properties["CorrelationData"], message.at)
        return came

    def waits(self) -> list[float]:
        """Seconds from a face's first sending to its receipt, of each face."""
        came = self._came()
        return [came[id] - first for id, first in self._first.items()]
