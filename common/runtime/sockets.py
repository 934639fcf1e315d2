"""What the kernel knows of a TCP connection, and paho does not ask: linux/tcp.h, tcp(7)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import socket
import struct
import termios
import time

UNSENT_IN_KERNEL = 64 * 1024  # bytes; what waits should wait where it can still be replaced

_SIOCOUTQNSD = 0x894B  # linux/sockios.h
# What those say who are no Linux, but play one: emulators and sandboxes.
_UNKNOWN = (errno.ENOSYS, errno.ENOTTY, errno.EINVAL)


def tune(sock: socket.socket) -> None:
    # Without TCP_NODELAY small faces wait for each other's acknowledgements: measured, see
    # docs/decisions/mqtt-client.md. paho has no option for it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_IN_KERNEL)


def has_room(sock: socket.socket) -> bool:
    """Whether the kernel has sent most of what it was given."""
    try:
        unsent = _count_queued(sock, _SIOCOUTQNSD)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        unsent = count_unacknowledged(sock)
    return unsent < UNSENT_IN_KERNEL


def count_unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel holds until the peer has them."""
    return _count_queued(sock, termios.TIOCOUTQ)


def _count_queued(sock: socket.socket, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(sock, request, b"\0" * 4))[0])


class SilenceMeter:
    """For how long no byte has been acknowledged by the peer, nor come from it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._moved = (0, 0)
        self._moved_at = time.monotonic()

    def silence(self) -> float:
        """Seconds since bytes moved; exact to the interval at which it is asked."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
        if len(info) == 136:
            moved = struct.unpack_from("QQ", info, 120)  # tcpi_bytes_acked, tcpi_bytes_received
        else:  # see _UNKNOWN: what waits for the peer changes, at least, when bytes move
            moved = (count_unacknowledged(self._sock), 0)
        now = time.monotonic()
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        return now - self._moved_at

    def rested(self, at_most: float) -> None:
        """Nothing was to be sent: what went before counts as `at_most` seconds of silence."""
        self._moved_at = max(self._moved_at, time.monotonic() - at_most)


async def close_gracefully(sock: socket.socket) -> None:
    """Send what is left and FIN, then read until the peer closes too.

    To close with bytes unread would make the kernel reset the connection, and forget what it
    still had to send: the goodbye, perhaps.
    """
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # it was reset: closed, too
        sock.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(sock, 65536):
            pass
