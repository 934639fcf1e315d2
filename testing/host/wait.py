"""Wait for conditions, never for time alone."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T | None], seconds: float = 15.0, what: str = "") -> T:
    """The first true value of `condition`; fails when there is none within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition}")
        time.sleep(0.02)


def until_equal(
    read: Callable[[], object], expected: object, seconds: float = 15.0, what: str = ""
) -> None:
    """Wait until `read` returns what is expected."""
    until(lambda: read() == expected, seconds, f"{what or read} is {expected!r}")


def until_above(
    read: Callable[[], float], bound: float, seconds: float = 15.0, what: str = ""
) -> None:
    """Wait until `read` returns more than `bound`."""
    until(lambda: read() > bound, seconds, f"{what or read} is above {bound}")


def free_port() -> int:
    """A port where nothing listens, below those that Linux gives to connections (32768 and on).

    Of one of theirs, any connection of this machine may take it before its server does.
    """
    while True:
        port = 16_384 + secrets.randbelow(16_384)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
