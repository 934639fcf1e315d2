"""The books: at all times, captured = confirmed + rejected + sent + dropped + waiting."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REASONS_MAX = 30  # the books have to fit into the ledger, and into metrics


class Accounts:
    """Counts each face once when captured and once when its fate is known.

    Read by the HTTP thread too, which must never see one side of an entry without the other.
    `commits` tells to which commit of the outbox they belong.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = _Counts()

    @property
    def captured(self) -> int:
        return self._counts.captured

    @property
    def waiting(self) -> int:
        return self._counts.waiting

    def write(self, *entries: Event) -> None:
        """Make entries, such as `capture` or `drop("full")`, all at once."""
        with self._lock:
            for entry in entries:
                entry(self._counts)

    def after(self, entries: Iterable[Event]) -> dict[str, Any]:
        """What `state()` would be after the next commit, with these entries."""
        with self._lock:
            counts = copy.deepcopy(self._counts)
        for entry in entries:
            entry(counts)
        counts.commits += 1
        return counts.state()

    def become(self, entries: Iterable[Event]) -> None:
        """The commit has been made: what `after` told is now so."""
        with self._lock:
            for entry in entries:
                entry(self._counts)
            self._counts.commits += 1

    def state(self) -> dict[str, Any]:
        """For keeping; `load` takes it back."""
        return self._counts.state()

    def load(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            with self._lock:
                self._counts = _Counts(state)

    def agree(self, found: int) -> int:
        """So many faces wait, says the outbox: how many are lost. More are of a run whose books
        are gone."""
        with self._lock:
            lost = self._counts.waiting - found
            if lost > 0:
                self._counts.dropped["damaged"] += lost
            else:
                self._counts.captured -= lost
            return max(0, lost)

    def facts(self) -> dict[str, Any]:
        """For people and programs to read."""
        with self._lock:
            state = self._counts.state()
            del state["commits"]
            return {**state, "waiting": self._counts.waiting}

    def __str__(self) -> str:
        counts = self._counts
        parts = [f"{counts.captured} captured"]
        parts += [f"{counts.confirmed} confirmed"] if counts.confirmed or not counts.sent else []
        parts += [f"{counts.sent} sent"] if counts.sent else []
        parts += [format_reasons(counts.rejected, " rejected")]
        parts += [format_reasons(counts.dropped, " dropped")]
        return ", ".join([*parts, f"{counts.waiting} waiting"])


def format_reasons(counts: Mapping[str, int], what: str = "") -> str:
    """Such as "3 dropped (full 2, old 1)"."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    return f"{sum(counts.values())}{what}" + (f" ({reasons})" if reasons else "")


class _Counts:
    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self.commits = int(state.get("commits", 0))
        self.captured = int(state.get("captured", 0))
        self.confirmed = int(state.get("confirmed", 0))
        self.sent = int(state.get("sent", 0))
        self.rejected: Counter[str] = Counter(state.get("rejected", {}))
        self.dropped: Counter[str] = Counter(state.get("dropped", {}))
        self.last_receipt: float | None = state.get("last_receipt")  # seconds since 1970
        self.round_trip: float | None = state.get("round_trip")  # seconds, smoothed

    @property
    def waiting(self) -> int:
        fates = self.confirmed + self.sent + self.rejected.total() + self.dropped.total()
        return self.captured - fates

    def state(self) -> dict[str, Any]:
        return {
            "commits": self.commits,
            "captured": self.captured,
            "confirmed": self.confirmed,
            "sent": self.sent,
            "rejected": dict(self.rejected),
            "dropped": dict(self.dropped),
            "last_receipt": self.last_receipt,
            "round_trip": self.round_trip,
        }


# Entries: what can be written into the books.

Event = Callable[[_Counts], None]


def capture(counts: _Counts) -> None:
    counts.captured += 1


def confirm(counts: _Counts) -> None:
    counts.confirmed += 1


def heard(at: float, round_trip: float | None) -> Event:
    """A receipt came, whatever it said."""

    def entry(counts: _Counts) -> None:
        counts.last_receipt = at
        counts.round_trip = round_trip

    return entry


def send(counts: _Counts) -> None:
    counts.sent += 1


def reject(reason: str) -> Event:
    """The reason is a stranger's word: of very many, only the first have counts of their own."""

    def entry(counts: _Counts) -> None:
        known = reason in counts.rejected or len(counts.rejected) < REASONS_MAX
        counts.rejected[reason if known else "other"] += 1

    return entry


def drop(reason: str, count: int = 1) -> Event:
    def entry(counts: _Counts) -> None:
        counts.dropped[reason] += count

    return entry
