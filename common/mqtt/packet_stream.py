"""A packet stream in place of paho's socket: reads and writes packets in bulk.

paho reads a packet byte by byte and writes one at a time. A `PacketStream` reads all that has
arrived and writes all that waits at once. PUBLISH and PUBACK go straight to the connection; paho
gets every other packet when it reads from its socket. What paho sends is queued in order with the
rest.
"""

from __future__ import annotations

import itertools
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator

from common.mqtt.message import encode_number
from common.mqtt.property_cache import Malformed
from common.runtime import sockets

MAX_PACKET = 4 * 1024 * 1024  # bytes; larger packets are refused
BUFFER = 256 * 1024  # bytes read at once; a packet of half that size gets its own buffer
BATCH = 128  # buffers written at once; the kernel takes 1024
JOINED = 4096  # bytes: smaller payloads are copied behind their head, larger ones are not copied

Buffer = bytes | bytearray | memoryview
Done = Callable[[str | None], None]  # called with None when sent, else with the reason
Packet = tuple[int, bytes | bytearray]  # first byte, and everything after the remaining length


def ignore_outcome(_reason: str | None) -> None:
    """A `Done` that does nothing."""


class PacketStream:
    """A socket for paho (recv, send, close, ...), and its packets for a `Connection`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.on_queued: Callable[[], None] = lambda: None  # called when something is to be written
        self.leaving = False  # paho has queued its DISCONNECT, which is still to be written
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._large: bytearray | None = None  # a packet that is too large for the buffer
        self._first = 0  # the large packet's first byte
        self._got = 0  # bytes received of the large packet
        self._for_paho = b""
        self._out: deque[tuple[Buffer, Done | None]] = deque()
        self._written = 0  # bytes that the kernel has taken, in total
        self._check_room_at = 0  # value of `_written` at which to ask the kernel for room again

    # The socket that paho sees.

    def recv(self, size: int) -> bytes:
        if not self._for_paho:
            raise BlockingIOError
        part, self._for_paho = self._for_paho[:size], self._for_paho[size:]
        return part

    def send(self, data: bytes | bytearray) -> int:
        self.put(data)
        return len(data)

    def close(self) -> None:
        if not self.leaving:
            self.sock.close()

    def fileno(self) -> int:
        return self.sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self.sock.setblocking(flag)

    # Incoming packets.

    def read(self) -> bool | None:
        """Read what has arrived; whether it was anything. None at the end of the connection.

        Raises:
            OSError: the connection is lost.
        """
        if self._large is not None:
            room = memoryview(self._large)[self._got :]
        else:
            room = self._view[self._filled :]
        try:
            count = self.sock.recv_into(room)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not count:
            return None
        if self._large is not None:
            self._got += count
        else:
            self._filled += count
        return True

    @property
    def expects_more(self) -> bool:
        """Whether it pays to read again at once."""
        # TLS may hold decrypted bytes that the kernel does not know of.
        return self.amid_packet or (
            isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0
        )

    def packets(self) -> Iterator[Packet]:
        """The packets that have arrived completely.

        Raises:
            Malformed: a packet has no valid length, or is larger than `MAX_PACKET`.
        """
        if self._large is not None:
            if self._got < len(self._large):
                return
            large, self._large = self._large, None
            yield self._first, large
        buffer, view, filled = self._buffer, self._view, self._filled
        at = 0
        while filled - at > 1:
            size, start = buffer[at + 1], at + 2
            if size > 127:
                size, start = self._length(at)
                if not start:
                    break
            end = start + size
            if end > filled:
                if end - at > BUFFER // 2:
                    self._begin(buffer[at], size, view[start:filled])
                    at = filled
                break
            first, at = buffer[at], end
            yield first, bytes(view[start:end])
        if at:
            buffer[: filled - at] = view[at:filled]
            self._filled = filled - at

    def _length(self, at: int) -> tuple[int, int]:
        """Remaining length of the packet at `at`, and where its body begins: 0 if not yet known."""
        size = shift = 0
        for index in range(at + 1, min(at + 5, self._filled)):
            size |= (self._buffer[index] & 127) << shift
            if self._buffer[index] < 128:
                if index + 1 - at + size > MAX_PACKET:
                    raise Malformed(f"a packet of {size} bytes")
                return size, index + 1
            shift += 7
        if self._filled >= at + 5:
            raise Malformed("a length of more than four bytes")
        return 0, 0

    def _begin(self, first: int, size: int, part: memoryview) -> None:
        self._first, self._large, self._got = first, bytearray(size), len(part)
        self._large[: len(part)] = part

    @property
    def amid_packet(self) -> bool:
        """Whether a packet has arrived in part."""
        return self._large is not None or bool(self._filled)

    def hand_to_paho(self, first: int, body: bytes | bytearray) -> None:
        """Queue a packet for paho's next read."""
        self._for_paho += bytes((first,)) + encode_number(len(body)) + body

    # Outgoing packets.

    def put(self, head: Buffer, payload: Buffer = b"", done: Done | None = None) -> None:
        """Queue a packet; `done` is called, with None, once the kernel has all of it."""
        if not payload:
            self._out.append((head, done))
        elif len(payload) <= JOINED:
            self._out.append((b"".join((head, payload)), done))
        else:
            self._out.append((head, None))
            self._out.append((payload, done))
        self.on_queued()

    @property
    def waiting(self) -> bool:
        """Whether anything is still to be written."""
        return bool(self._out)

    def write(self) -> None:
        """Write as much as the kernel takes.

        Raises:
            OSError: the connection is lost.
        """
        out = self._out
        while out and self._has_room():
            try:
                if isinstance(self.sock, ssl.SSLSocket):
                    sent = self.sock.send(out[0][0])
                else:
                    sent = self.sock.sendmsg([part for part, _ in itertools.islice(out, BATCH)])
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            self._written += sent
            while sent:
                part, done = out[0]
                if len(part) > sent:
                    out[0] = memoryview(part)[sent:], done
                    break
                sent -= len(part)
                out.popleft()
                if done is not None:
                    done(None)

    def _has_room(self) -> bool:
        """Whether the kernel has sent most of what it holds; asks it only now and then."""
        if self._written < self._check_room_at:
            return True
        if not sockets.has_room(self.sock):
            return False
        self._check_room_at = self._written + sockets.UNSENT_IN_KERNEL
        return True
