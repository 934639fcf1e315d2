"""The accounts of faces: captured = confirmed + rejected + sent + dropped + waiting, always."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

REASONS_MAX = 30  # so that the accounts fit into the counter file, and into metrics


class Accounts:
    """Counts each face once when it is captured, and once when its outcome is known.

    The HTTP thread reads them, too, and must never see half of an event. `commits` is the number
    of the outbox's commit that they belong to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = _Counts()

    @property
    def captured(self) -> int:
        """Faces captured."""
        return self._counts.captured

    @property
    def waiting(self) -> int:
        """Faces whose outcome is not known yet."""
        return self._counts.waiting

    def write(self, *events: Event) -> None:
        """Count events, such as `capture` or `drop("full")`, all at once."""
        with self._lock:
            for event in events:
                event(self._counts)

    def state_after(self, events: Iterable[Event]) -> dict[str, Any]:
        """What `state()` will be after a commit with these events."""
        with self._lock:
            counts = copy.deepcopy(self._counts)
        for event in events:
            event(counts)
        counts.commits += 1
        return counts.state()

    def commit(self, events: Iterable[Event]) -> None:
        """Count the events of a commit that has succeeded."""
        with self._lock:
            for event in events:
                event(self._counts)
            self._counts.commits += 1

    def state(self) -> dict[str, Any]:
        """The counts in a form that JSON can hold, for `load`."""
        return self._counts.state()

    def load(self, state: dict[str, Any] | None) -> None:
        """Replace the counts by a saved state, if there is one."""
        if state is not None:
            with self._lock:
                self._counts = _Counts(state)

    def reconcile(self, found: int) -> int:
        """Adapt the counts to `found` faces in the outbox; returns how many are missing there.

        Missing faces count as damaged. If there are more than expected, an earlier run's accounts
        were lost, and they count as captured.
        """
        with self._lock:
            lost = self._counts.waiting - found
            if lost > 0:
                self._counts.dropped["damaged"] += lost
            else:
                self._counts.captured -= lost
            return max(0, lost)

    def figures(self) -> dict[str, Any]:
        """All counts and the number of waiting faces, for status, metrics and people."""
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
    """Counts by reason as text, such as "3 dropped (full 2, old 1)"."""
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


# Events: each changes the counts.

Event = Callable[[_Counts], None]


def capture(counts: _Counts) -> None:
    """A face was captured."""
    counts.captured += 1


def confirm(counts: _Counts) -> None:
    """A receipt says that a face is stored."""
    counts.confirmed += 1


def receive(at: float, round_trip: float | None) -> Event:
    """A receipt arrived, whatever it says; `at` in seconds since 1970, `round_trip` in seconds."""

    def event(counts: _Counts) -> None:
        counts.last_receipt = at
        counts.round_trip = round_trip

    return event


def send(counts: _Counts) -> None:
    """A face was published without waiting for a receipt."""
    counts.sent += 1


def reject(reason: str) -> Event:
    """A receipt says that a face was rejected. Its reason is untrusted: only so many are kept."""

    def event(counts: _Counts) -> None:
        known = reason in counts.rejected or len(counts.rejected) < REASONS_MAX
        counts.rejected[reason if known else "other"] += 1

    return event


def drop(reason: str, count: int = 1) -> Event:
    """Faces were dropped."""

    def event(counts: _Counts) -> None:
        counts.dropped[reason] += count

    return event
