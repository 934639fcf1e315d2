"""How much may be in flight, and when a receipt is overdue: congestion control as in TCP."""

from __future__ import annotations

START = 128 * 1024  # bytes
LARGEST = 16 * 1024 * 1024
STEP = 32 * 1024  # bytes of growth per round trip, about one face
INITIAL_TIMEOUT, LEAST_TIMEOUT, LONGEST_TIMEOUT = 3.0, 1.0, 15.0  # seconds
QUEUEING = 4.0  # seconds of round trip beyond which more in flight only makes queues longer


class CongestionWindow:
    """Bytes in flight by AIMD (RFC 5681, section 3.1), time-out by RFC 6298."""

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
        """Bytes that may be in flight at once."""
        return int(self._bytes)

    def admits(self, faces: int, in_flight: int, size: int) -> bool:
        """Whether a face of `size` bytes may join `faces` of `in_flight` bytes.

        Two are always allowed, so that one which never gets a receipt does not block all others.
        """
        fits = faces < 2 or in_flight + size <= self._bytes
        return faces == 0 or (faces < self._max_faces and fits)

    def on_receipt(self, size: int, took: float | None) -> None:
        """Widen the window for a receipt that took `took` seconds.

        `took` is None for a face that was sent twice, since its round trip is unknown (Karn's
        algorithm, RFC 6298, section 3). It widens the window all the same: something got through.
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

    def on_timeout(self, now: float) -> None:
        """Halve the window and double the time-out, at most once per time-out."""
        if now - self._cut_at < self.timeout:
            return
        self._cut_at = now
        self._threshold = max(self._bytes / 2, 2 * STEP)
        self._bytes = max(self._bytes / 2, float(STEP))
        self.timeout = min(LONGEST_TIMEOUT, self.timeout * 2)
