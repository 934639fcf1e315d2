"""Wait for conditions, never for time alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
PORTS = range(16_384, 32_768)  # below those that Linux gives to connections, which would take one


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


def _ports() -> Iterator[int]:
    """Those of this process, in turn: what asks beside it (as a worker of pytest-xdist) has others,
    and none comes again before its server has had all the time that it may want."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = len(PORTS) // workers
    own = PORTS[worker * count : (worker + 1) * count]
    start = random.randrange(count)  # or a second run of tests would begin with the same
    return itertools.cycle([*own[start:], *own[:start]])


_own_ports = _ports()


def free_port() -> int:
    """A port where nothing listens, and that nobody else is given."""
    while True:
        port = next(_own_ports)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
