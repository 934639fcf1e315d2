"""Frames a second, and milliseconds by step, over the last seconds; for the preview."""

from __future__ import annotations

import collections
import time

OVER = 3.0  # seconds


class Throughput:
    """A moving average over the last `OVER` seconds."""

    def __init__(self) -> None:
        self._frames: collections.deque[tuple[float, int, dict[str, float]]]
        self._frames = collections.deque()

    def add(self, spent: dict[str, float], skipped: int) -> None:
        """Add a frame: the seconds that each step took, and all frames skipped so far."""
        now = time.monotonic()
        self._frames.append((now, skipped, spent))
        while now - self._frames[0][0] > OVER:
            self._frames.popleft()

    def figures(self) -> dict[str, float]:
        """Frames analyzed and skipped per second, and mean milliseconds per frame of each step."""
        if not self._frames:
            return {}
        began, skipped_before, _ = self._frames[0]
        ended, skipped, _ = self._frames[-1]
        lasted = max(ended - began, 1e-3)
        steps: collections.Counter[str] = collections.Counter()
        for _, _, spent in self._frames:
            steps.update(spent)
        count = len(self._frames)
        return {
            "frames_per_second": (count - 1) / lasted,
            "skipped_per_second": (skipped - skipped_before) / lasted,
            **{f"{name}_ms": 1000 * seconds / count for name, seconds in steps.items()},
        }
