"""The highest rate that holds, found by trying."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

CLOSE = 1.05  # two rates as near as this are one
MORE = 4  # tries, while none has held
AGAIN = 1  # times that a rate is tried anew, when other work may be why it did not hold


class Tried(Protocol):
    """What came of a rate."""

    @property
    def offered(self) -> float: ...  # faces a second
    @property
    def stored(self) -> float: ...
    @property
    def held(self) -> bool: ...
    @property
    def disturbed(self) -> bool: ...  # by other work on the machine


S = TypeVar("S", bound=Tried)


def search(step: Callable[[float], S], first: float, tries: int) -> tuple[S, S | None]:
    """The best step that held, and the least one that did not, of `tries`.

    What is stored of too much is near the most that can be: from there on by halving.

    Raises:
        RuntimeError: none held, though more were tried.
    """
    best: S | None = None
    worst: S | None = None
    rate, most = first, math.inf
    for number in range(tries + MORE):
        if number >= tries and best:
            break
        tried = step(rate)
        for _ in range(AGAIN):
            if tried.held or not tried.disturbed:
                break
            tried = step(rate)
        if tried.held:
            best = tried if best is None or tried.offered > best.offered else best
        else:
            worst = tried if worst is None or tried.offered < worst.offered else worst
            most = min(most, tried.offered, CLOSE * CLOSE * tried.stored)
        least = best.offered if best else 0.0
        if least * CLOSE >= most:
            break
        rate = _next(least, most, tried.stored)
    if best is None:
        raise RuntimeError(f"no rate has held of those tried, down to {tried.offered:,.0f} faces/s")
    return best, worst


def _next(least: float, most: float, stored: float) -> float:
    if math.isinf(most):
        return 2 * least
    if not least:
        return 0.9 * min(stored, most)
    return math.sqrt(least * most)
