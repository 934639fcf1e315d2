"""MQTT 5 as a load generator needs it: packets made beforehand, sockets in bulk, no library.

What it measures must not wait for it, so that it knows no more of the protocol than it says.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
import struct
from collections import deque
from collections.abc import Iterator

from common.mqtt.broker import Broker
from common.mqtt.message import encode_number

BUFFER = 5 * 1024 * 1024  # bytes read or written at once; a packet that is read has to fit
BATCH = 512  # buffers written at once; the kernel takes 1024
HEAD = 4096  # bytes of a packet that hold all but its payload
CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
CORRELATION = b"\x09\x00\x20"  # Correlation Data of 32 bytes, which all ids of ours are


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def packet(kind: int, body: bytes, payload: int = 0) -> bytes:
    """A whole packet, or the head of one with so many bytes of payload to follow."""
    return bytes((kind,)) + encode_number(len(body) + payload) + body


def connect(client_id: str, username: str = "", password: str = "") -> bytes:
    # Clean start, no keep-alive; Maximum Packet Size (0x27), Receive Maximum (0x21).
    flags = 0x02 | 0x80 * bool(username) | 0x40 * bool(password)
    properties = struct.pack("!BLBH", 0x27, 4 * 1024 * 1024, 0x21, 65535)
    body = text("MQTT") + bytes((5, flags, 0, 0)) + encode_number(len(properties)) + properties
    return packet(
        0x10, body + text(client_id) + b"".join(map(text, filter(None, (username, password))))
    )


def subscribe(topics: list[str], qos: int) -> bytes:
    return packet(0x82, b"\x00\x01\x00" + b"".join(text(topic) + bytes((qos,)) for topic in topics))


@dataclasses.dataclass(frozen=True)
class Letter:
    """A PUBLISH to be sent often: `id` (32 characters) is patched in, as fact and correlation."""

    head: tuple[bytes, bytes, bytes, bytes]
    payload: bytes
    qos: int

    @classmethod
    def to(cls, topic: str, device: str, facts: dict[str, str], payload: bytes, qos: int) -> Letter:
        blank = "\0" * 32  # not in UTF-8 of MQTT, hence nowhere else
        response = b"\x08" + text(f"faces/receipts/{device}") if device else b""
        user = b"".join(b"\x26" + text(n) + text(v) for n, v in {"id": blank, **facts}.items())
        properties = b"\x03" + text("image/png") + response + CORRELATION + blank.encode() + user
        named = text(topic) + b"\0\0" * bool(qos)  # the packet identifier comes after the topic
        body = named + encode_number(len(properties)) + properties
        whole = packet(PUBLISH | qos << 1, body, len(payload))
        before, between, after = whole.split(blank.encode())
        cut = len(whole) - len(body) + len(text(topic))
        return cls((before[:cut], before[cut + 2 * bool(qos) :], between, after), payload, qos)

    def parts(self, id: bytes, mid: int) -> list[bytes]:
        start, before, between, after = self.head
        mark = struct.pack("!H", mid) if self.qos else b""
        return [b"".join((start, mark, before, id, between, id, after)), self.payload]


class Session:
    """One connection to a broker, ready when made; after that it never blocks."""

    def __init__(self, broker: Broker, client_id: str, buffer: int = BUFFER) -> None:
        sock = socket.create_connection((broker.host, broker.port), 20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = broker.context()
        self.sock = context.wrap_socket(sock, server_hostname=broker.host) if context else sock
        self._out: deque[bytes | memoryview] = deque()
        self._buffer = bytearray(buffer)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self.bytes = 0  # read
        self.sock.sendall(connect(client_id, broker.username, broker.password))
        answer = self._answer(CONNACK)
        if answer[3]:
            raise ConnectionError(f"the broker refuses {client_id}: reason {answer[3]:#x}")
        self.receive_maximum = _receive_maximum(answer)
        self.sock.setblocking(False)

    def subscribe(self, topics: list[str], qos: int) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(subscribe(topics, qos))
        if self._answer(SUBACK)[-1] >= 0x80:
            raise PermissionError(f"the broker denies {topics}")
        self.sock.setblocking(False)

    def _answer(self, kind: int) -> bytes:
        heard = b""
        while len(heard) < 2 or len(heard) < 2 + heard[1]:  # these packets are short
            more = self.sock.recv(1 if len(heard) < 2 else 2 + heard[1] - len(heard))
            if not more:
                raise ConnectionError("the broker has closed the connection")
            heard += more
        assert heard[0] == kind, f"the broker says {heard!r}"
        return heard

    def put(self, parts: list[bytes]) -> None:
        self._out.extend(parts)

    @property
    def waiting(self) -> int:
        """Buffers that the kernel has not taken."""
        return len(self._out)

    def flush(self) -> None:
        """Write what the kernel takes."""
        out = self._out
        while out:
            batch = [out.popleft() for _ in range(min(BATCH, len(out)))]
            try:
                sent = self._write(batch)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                out.extendleft(reversed(batch))
                return
            rest = [memoryview(part) for part in batch]
            while rest and sent >= len(rest[0]):
                sent -= len(rest.pop(0))
            if rest:
                rest[0] = rest[0][sent:]
                out.extendleft(reversed(rest))

    def _write(self, batch: list[bytes | memoryview]) -> int:
        if isinstance(self.sock, ssl.SSLSocket):
            return self.sock.send(b"".join(batch)[:BUFFER])
        return self.sock.sendmsg(batch)

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """What has come whole: each packet's first byte, and its head behind the fixed header.

        Raises:
            ConnectionError: the broker has closed the connection.
        """
        while self._read():
            at = 0
            while at < self._filled:
                size, start = self._length(at)
                if not start or start + size > self._filled:
                    break
                yield self._buffer[at], bytes(self._view[start : start + min(size, HEAD)])
                at = start + size
            self._buffer[: self._filled - at] = self._view[at : self._filled]
            self._filled -= at
            if not isinstance(self.sock, ssl.SSLSocket):  # which may hold more than the kernel
                return

    def _read(self) -> bool:
        try:
            count = self.sock.recv_into(self._view[self._filled :])
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not count:
            raise ConnectionError("the broker has closed the connection")
        self.bytes += count
        self._filled += count
        return True

    def _length(self, at: int) -> tuple[int, int]:
        """Remaining length of the packet, and where it begins; (0, 0) if that is not there yet."""
        size = shift = 0
        for index in range(at + 1, min(at + 5, self._filled)):
            size |= (self._buffer[index] & 127) << shift
            if self._buffer[index] < 128:
                return size, index + 1
            shift += 7
        return 0, 0


def _receive_maximum(connack: bytes) -> int:
    sizes = {
        0x11: 4,
        0x13: 2,
        0x21: 2,
        0x22: 2,
        0x24: 1,
        0x25: 1,
        0x27: 4,
        0x28: 1,
        0x29: 1,
        0x2A: 1,
    }
    at = 5
    while at < len(connack):
        kind = connack[at]
        size = sizes.get(kind) or 2 + struct.unpack_from("!H", connack, at + 1)[0]
        if kind == 0x21:
            return int(struct.unpack_from("!H", connack, at + 1)[0])
        at += 1 + size
    return 65535
