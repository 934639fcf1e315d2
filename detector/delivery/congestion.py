"""How much may be under way, and when to give up waiting: congestion control as TCP does it."""

from __future__ import annotations

START = 128 * 1024  # bytes
LARGEST = 16 * 1024 * 1024
STEP = 32 * 1024  # bytes of growth per round trip, about one face
INITIAL_TIMEOUT, LEAST_TIMEOUT, LONGEST_TIMEOUT = 3.0, 1.0, 15.0  # seconds
QUEUEING = 4.0  # seconds of round trip beyond which more under way only makes queues longer


class CongestionWindow:
    """Bytes under way by AIMD (RFC 5681, section 3.1), time-out by RFC 6298."""

    def __init__(self, max_faces: int) -> None:
        self._max_faces = max_faces
        self._bytes = float(START)
        self._threshold = float(LARGEST)
        self._variance = 0.0
        self._cut_at = float("-inf")
        self.round_trip: float | None = None  # seconds, smoothed
        self.timeout = INITIAL_TIMEOUT

    @property
    def bytes(self) -> int:
        return int(self._bytes)

    def admits(self, faces: int, under_way: int, size: int) -> bool:
        """Whether a face of `size` bytes may join `faces` of `under_way` bytes.

        Two always may, so that one which never gets a receipt does not hold up all the others.
        """
        fits = faces < 2 or under_way + size <= self._bytes
        return faces == 0 or (faces < self._max_faces and fits)

    def answered(self, size: int, took: float | None) -> None:
        """A receipt came; `took` is None for a face sent twice, which tells no round trip.

        (Karn's algorithm, RFC 6298, section 3.) It opens the window all the same: something got
        through.
        """
        if took is not None:
            self._measure(took)
            if took > QUEUEING:
                return
        slow_start = self._bytes < self._threshold
        grown = self._bytes + (size if slow_start else STEP * size / self._bytes)
        self._bytes = min(float(LARGEST), grown)

    def _measure(self, took: float) -> None:
        if self.round_trip is None:
            self.round_trip, self._variance = took, took / 2
        else:
            self._variance += (abs(took - self.round_trip) - self._variance) / 4
            self.round_trip += (took - self.round_trip) / 8
        timeout = self.round_trip + 4 * self._variance
        self.timeout = min(LONGEST_TIMEOUT, max(LEAST_TIMEOUT, timeout))

    def timed_out(self, now: float) -> None:
        """No receipt in time: half the window, twice the time-out, once per time-out at most."""
        if now - self._cut_at < self.timeout:
            return
        self._cut_at = now
        self._threshold = max(self._bytes / 2, 2 * STEP)
        self._bytes = max(self._bytes / 2, float(STEP))
        self.timeout = min(LONGEST_TIMEOUT, self.timeout * 2)
