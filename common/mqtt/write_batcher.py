"""One write for everything that one read leads to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from prometheus_client import Counter

_batchers: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteBatcher] = WeakKeyDictionary()


class WriteBatcher:
    """Defers calls to the end of its `with` block, or to the loop's next turn outside of one."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], None]] = deque()
        self._within = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> WriteBatcher:
        """The loop's batcher: what arrives on one connection may leave on another."""
        batcher = _batchers.get(loop)
        if batcher is None:
            batcher = _batchers[loop] = cls()
        return batcher

    def call(self, due: Callable[[], None]) -> None:
        """Call `due` when the batch ends."""
        if not self._within and not self._due:
            asyncio.get_running_loop().call_soon(self._run)
        self._due.append(due)

    def _run(self) -> None:
        with self:
            pass

    def __enter__(self) -> None:
        self._within = True

    def __exit__(self, *_: object) -> None:
        try:
            while self._due:  # a call may add more
                self._due.popleft()()
        finally:
            self._within = False
            if self._due:  # one call raised; the others are still to come
                asyncio.get_running_loop().call_soon(self._run)


class BatchedCounter:
    """Adds to a metric once per batch: a call to it costs more than counting here."""

    def __init__(self, batcher: WriteBatcher, counter: Counter) -> None:
        self._batcher = batcher
        self._counter = counter
        self._count = 0

    def __call__(self) -> None:
        if not self._count:
            self._batcher.call(self._flush)
        self._count += 1

    def _flush(self) -> None:
        self._counter.inc(self._count)
        self._count = 0
