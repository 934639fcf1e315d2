"""The live status line, and the outage that it reports."""

from __future__ import annotations

import sys
import time

from demo import watch
from demo.stack import Stack

QUIET = 5.0  # seconds between the first face and an outage, for people to see how it was before


class Outage:
    """Cuts the link once, and describes its state."""

    def __init__(self, stack: Stack, seconds: float, quiet: float = QUIET) -> None:
        self._stack = stack
        self._seconds = seconds
        self._quiet = quiet
        self._begin: float | None = None

    def play(self, begun: bool) -> str:
        """To be called often, from the first face (`begun`) on; what the live line says of it."""
        now = time.monotonic()
        if self._begin is None:
            if not begun:
                return ""
            self._begin = now + self._quiet
        left = self._begin + self._seconds - now
        if now < self._begin:
            return f"   link up, to be cut in {self._begin - now:.0f} s"
        if left > 0:
            if self._stack.link.up:
                self._stack.link.cut()
            return f"   LINK CUT for {left:.0f} s more"
        if not self._stack.link.up:
            self._stack.link.mend()
        return "   link up again"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


class Line:
    """The live line: rewritten in place in a terminal, printed now and then elsewhere."""

    def __init__(self, stack: Stack, arrivals: watch.Arrivals, outage: Outage | None) -> None:
        self._detector = stack.ports["detector"]
        self._arrivals = arrivals
        self._outage = outage
        self._history: list[tuple[float, int]] = []
        self._shown_at = float("-inf")
        self._live = sys.stderr.isatty()
        self._event = ""
        self._earlier: int | None = None  # faces in the books of earlier runs

    def show(self, books: watch.Books) -> None:
        now, stored = time.monotonic(), len(self._arrivals.keys)
        if self._earlier is None and books.captured:
            self._earlier = books.captured - books.waiting - stored
        captured = books.captured - (self._earlier or 0)
        self._history = [entry for entry in self._history if now - entry[0] < 5] + [(now, stored)]
        link = self._outage.play(bool(stored)) if self._outage else ""
        event = link.rstrip("0123456789 smore")  # the same while only its seconds go down
        if event == self._event and now - self._shown_at < (0.2 if self._live else 5.0):
            return
        self._event = event
        self._shown_at = now
        span = now - self._history[0][0]
        rate = (stored - self._history[0][1]) / span if span else 0.0
        median = self._arrivals.median
        took = "-" if median is None else _time(median)
        text = (
            f"captured {captured}   in the bucket {stored}   waiting {books.waiting}"
            f"   {rate:.1f} faces/s   frame to bucket {took}{link}"
        )
        if not rate and (troubles := watch.troubles(self._detector)):
            text += f"   ({troubles})"
        sys.stderr.write(f"\r{text:<120}" if self._live else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._live:
            sys.stderr.write("\n")
