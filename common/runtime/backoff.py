"""The one retry policy of all services."""

from __future__ import annotations

import random


class Backoff:
    """Exponential back-off with jitter, in seconds.

    Each `next()` is between half of and the whole current delay, which doubles up to `cap`
    (jitter keeps a fleet from reconnecting in step: Brooker, "Exponential Backoff And Jitter",
    AWS Architecture Blog, 2015). Only `stable` seconds of uptime reset it, so that a connection
    which breaks right after each connect is not hammered.
    """

    def __init__(self, first: float = 0.5, cap: float = 10.0, stable: float = 20.0) -> None:
        self._first = first
        self._cap = cap
        self._stable = stable
        self._delay = first

    def next(self) -> float:
        """Seconds to wait before the next try."""
        delay = self._delay
        self._delay = min(self._cap, delay * 2)
        return random.uniform(delay / 2, delay)  # noqa: S311 - spreads load, guards nothing

    def record_uptime(self, seconds: float) -> None:
        """Record how long it worked before it failed."""
        if seconds >= self._stable:
            self._delay = self._first
