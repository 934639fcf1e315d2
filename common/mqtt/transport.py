"""A packet stream in the event loop: read when bytes arrive, written when there is room."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from common.mqtt.packet_stream import PacketStream
from common.mqtt.property_cache import Malformed
from common.mqtt.write_batcher import WriteBatcher

READS_PER_TURN = 8  # so that a flood leaves the event loop time for others

Handle = Callable[[int, bytes | bytearray], None]  # a packet, as `packet_stream.Packet`
OnEnd = Callable[[Malformed | None], None]  # None: the connection was lost


class Transport:
    """Calls `handle` with each packet, and `on_end` at the end, until `detach`."""

    def __init__(self, stream: PacketStream, handle: Handle, on_end: OnEnd) -> None:
        self._loop = asyncio.get_running_loop()
        self._batcher = WriteBatcher.of(self._loop)
        self.stream = stream
        self._handle = handle
        self._on_end = on_end
        self._open = True
        self._flush_due = False
        self._writing = False  # waiting for room in the kernel
        self._empty: asyncio.Future[None] | None = None
        stream.on_queued = self._schedule_flush
        self._loop.add_reader(stream, self._on_readable)
        self._schedule_flush()  # paho has already queued its CONNECT

    def flush(self) -> asyncio.Future[None]:
        """A future that is done once the kernel has all that is queued."""
        self._empty = self._loop.create_future()
        self._schedule_flush()
        return self._empty

    def detach(self) -> None:
        """Stop reading and writing."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self.stream)
            self._loop.remove_writer(self.stream)

    # Callbacks of asyncio.

    def _on_readable(self) -> None:
        with self._batcher:
            for _ in range(READS_PER_TURN):
                if not (self._open and self._read()):
                    return
        # TLS may hold decrypted bytes that the kernel does not know of.
        if self._open and isinstance(self.stream.sock, ssl.SSLSocket):
            self._loop.call_soon(self._on_readable)

    def _read(self) -> bool:
        """Read and handle what has arrived; whether there may be more."""
        arrived: bool | None
        try:
            arrived = self.stream.read()
            for first, body in self.stream.packets():
                self._handle(first, body)
                if not self._open:
                    return False
        except Malformed as error:
            self._on_end(error)
            return False
        except OSError:
            arrived = None
        if arrived is None:
            self._on_end(None)
        return bool(arrived) and self.stream.expects_more

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._batcher.call(self._flush)

    def _flush(self) -> None:
        if not self._open:
            return
        try:
            self.stream.write()
        except OSError:
            self._on_end(None)
        finally:
            self._flush_due = False
        if self._open:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        if self.stream.waiting != self._writing:
            self._writing = self.stream.waiting
            if self._writing:
                self._loop.add_writer(self.stream, self._flush)
            else:
                self._loop.remove_writer(self.stream)
        if self._empty is not None and not self._writing and not self._empty.done():
            self._empty.set_result(None)
