"""A wire in the event loop: read when something has come, written when there is room."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from common.mqtt.packet_stream import PacketStream
from common.mqtt.property_cache import Malformed
from common.mqtt.write_batcher import WriteBatcher

READS_PER_TURN = 8  # so that a flood leaves the loop room for others

Handle = Callable[[int, bytes | bytearray], None]  # a packet: first byte, all behind its length
Ended = Callable[[Malformed | None], None]  # why, if it is not that the connection was lost


class Transport:
    """From its making until `detach` it calls `handle` with each packet, and `ended` at the end."""

    def __init__(self, wire: PacketStream, handle: Handle, ended: Ended) -> None:
        self._loop = asyncio.get_running_loop()
        self._turn = WriteBatcher.of(self._loop)
        self.wire = wire
        self._handle = handle
        self._ended = ended
        self._open = True
        self._flush_due = False
        self._writing = False  # we wait for room in the kernel
        self._empty: asyncio.Future[None] | None = None
        wire.on_queued = self._queued
        self._loop.add_reader(wire, self._readable)
        self._queued()  # paho's CONNECT, since before we were asked

    def written(self) -> asyncio.Future[None]:
        """Done when the kernel has all that is queued."""
        self._empty = self._loop.create_future()
        self._queued()
        return self._empty

    def detach(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self.wire)
            self._loop.remove_writer(self.wire)

    # What asyncio calls.

    def _readable(self) -> None:
        with self._turn:
            for _ in range(READS_PER_TURN):
                if not (self._open and self._read()):
                    return
        # TLS may hold decrypted bytes that the kernel knows nothing of.
        if self._open and isinstance(self.wire.sock, ssl.SSLSocket):
            self._loop.call_soon(self._readable)

    def _read(self) -> bool:
        """Take and handle what has come; whether there may be more."""
        came: bool | None
        try:
            came = self.wire.read()
            for first, body in self.wire.packets():
                self._handle(first, body)
                if not self._open:
                    return False
        except Malformed as error:
            self._ended(error)
            return False
        except OSError:
            came = None
        if came is None:
            self._ended(None)
        return bool(came) and self.wire.expects_more

    def _queued(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._turn.call(self._flush)

    def _flush(self) -> None:
        if not self._open:
            return
        try:
            self.wire.write()
        except OSError:
            self._ended(None)
        finally:
            self._flush_due = False
        if self._open:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        if self.wire.waiting != self._writing:
            self._writing = self.wire.waiting
            if self._writing:
                self._loop.add_writer(self.wire, self._flush)
            else:
                self._loop.remove_writer(self.wire)
        if self._empty is not None and not self._writing and not self._empty.done():
            self._empty.set_result(None)
