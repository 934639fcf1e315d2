"""What the kernel knows about a TCP connection: linux/tcp.h, tcp(7)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import socket
import struct
import termios
import time

UNSENT_IN_KERNEL = 64 * 1024  # bytes; more should wait in our queue, where it can be replaced

_SIOCOUTQNSD = 0x894B  # linux/sockios.h
# Errors of emulators and sandboxes that do not implement it.
_UNKNOWN = (errno.ENOSYS, errno.ENOTTY, errno.EINVAL)


def tune(sock: socket.socket) -> None:
    """Set the TCP options for many small packets and a short kernel queue."""
    # Without TCP_NODELAY small faces wait for each other's acknowledgements: measured, see
    # docs/decisions/0004-mqtt-client.md. paho has no option for it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_IN_KERNEL)


def has_room(sock: socket.socket) -> bool:
    """Whether the kernel has sent most of what was written."""
    try:
        unsent = _count_queued(sock, _SIOCOUTQNSD)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        unsent = count_unacknowledged(sock)
    return unsent < UNSENT_IN_KERNEL


def count_unacknowledged(sock: socket.socket) -> int:
    """Bytes that were written and that the peer has not acknowledged."""
    return _count_queued(sock, termios.TIOCOUTQ)


def _count_queued(sock: socket.socket, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(sock, request, b"\0" * 4))[0])


class SilenceMeter:
    """How long the peer has neither acknowledged nor sent a byte."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._moved = (0, 0)
        self._moved_at = time.monotonic()

    def silence(self) -> float:
        """Seconds since bytes moved, as precise as the interval between two calls."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
        if len(info) == 136:
            moved = struct.unpack_from("QQ", info, 120)  # tcpi_bytes_acked, tcpi_bytes_received
        else:  # see _UNKNOWN: the number of unacknowledged bytes changes, at least, when they move
            moved = (count_unacknowledged(self._sock), 0)
        now = time.monotonic()
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        return now - self._moved_at

    def reset(self, at_most: float) -> None:
        """Count the silence until now as `at_most` seconds, since nothing was to be sent."""
        self._moved_at = max(self._moved_at, time.monotonic() - at_most)


async def close_gracefully(sock: socket.socket) -> None:
    """Send what is left and FIN, then read until the peer closes too.

    Closing with unread bytes would make the kernel reset the connection and discard what it still
    had to send, such as a DISCONNECT.
    """
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # a reset closes it, too
        sock.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(sock, 65536):
            pass
