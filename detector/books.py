"""The books: at all times, captured = confirmed + rejected + sent + dropped + waiting."""

from __future__ import annotations

import collections
import threading
from typing import Any


class Books:
    """Counts each face once when captured and once when its fate is known.

    Read by the HTTP thread too, which must never see one side of an entry without the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.captured = 0
        self.confirmed = 0
        self.sent = 0
        self.rejected: collections.Counter[str] = collections.Counter()
        self.dropped: collections.Counter[str] = collections.Counter()

    @property
    def waiting(self) -> int:
        fates = self.confirmed + self.sent + self.rejected.total() + self.dropped.total()
        return self.captured - fates

    def capture(self) -> None:
        with self._lock:
            self.captured += 1

    def confirm(self) -> None:
        with self._lock:
            self.confirmed += 1

    def send(self) -> None:
        with self._lock:
            self.sent += 1

    def reject(self, reason: str) -> None:
        with self._lock:
            self.rejected[reason] += 1

    def drop(self, reason: str) -> None:
        with self._lock:
            self.dropped[reason] += 1

    def facts(self) -> dict[str, Any]:
        with self._lock:
            return {
                "captured": self.captured,
                "confirmed": self.confirmed,
                "sent": self.sent,
                "rejected": dict(self.rejected),
                "dropped": dict(self.dropped),
                "waiting": self.waiting,
            }

    def __str__(self) -> str:
        parts = [
            f"{self.captured} captured",
            f"{self.confirmed} confirmed" if self.confirmed or not self.sent else "",
            f"{self.sent} sent" if self.sent else "",
            f"{self.rejected.total()} rejected",
            f"{self.dropped.total()} dropped",
            f"{self.waiting} waiting",
        ]
        return ", ".join(part for part in parts if part)
