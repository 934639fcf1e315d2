"""One write for all that one read has brought about."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from prometheus_client import Counter

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteBatcher] = WeakKeyDictionary()


class WriteBatcher:
    """Within `with`, what was asked for is called at its end; else when the loop comes round."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], None]] = deque()
        self._within = False

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> WriteBatcher:
        """The one of this loop: what comes by one connection may go by another."""
        turn = _turns.get(loop)
        if turn is None:
            turn = _turns[loop] = cls()
        return turn

    def call(self, due: Callable[[], None]) -> None:
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
            while self._due:  # what is called may ask for more
                self._due.popleft()()
        finally:
            self._within = False
            if self._due:  # one of them has failed; the others have not
                asyncio.get_running_loop().call_soon(self._run)


class BatchedCounter:
    """Counts in a metric, once for all of a turn: to count costs more than to add one."""

    def __init__(self, turn: WriteBatcher, counter: Counter) -> None:
        self._turn = turn
        self._counter = counter
        self._count = 0

    def __call__(self) -> None:
        if not self._count:
            self._turn.call(self._tell)
        self._count += 1

    def _tell(self) -> None:
        self._counter.inc(self._count)
        self._count = 0
