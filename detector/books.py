"""The books: at all times, captured = confirmed + rejected + sent + dropped + waiting."""

from __future__ import annotations

import collections
from typing import Any

from detector import metrics


class Books:
    """Counts each face once when captured and once when its fate is known."""

    def __init__(self) -> None:
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
        self.captured += 1
        metrics.CAPTURED.inc()

    def confirm(self) -> None:
        self.confirmed += 1
        metrics.CONFIRMED.inc()

    def send(self) -> None:
        self.sent += 1
        metrics.SENT.inc()

    def reject(self, reason: str) -> None:
        self.rejected[reason] += 1
        metrics.REJECTED.labels(reason).inc()

    def drop(self, reason: str) -> None:
        self.dropped[reason] += 1
        metrics.DROPPED.labels(reason).inc()

    def facts(self) -> dict[str, Any]:
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
