"""How often a password may be tried: by an address, by a browser that is known, by all together."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.http.quota import network
from common.runtime.rate_limit import TokenBucket

FEW = (5, 30.0)  # tries at once, then one every so many seconds: 2,900 a day
ALL = (20, 6.0)  # the same of all together


class LoginLimits:
    """Limits attempts at passwords. `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._each = TokenBucket(*FEW)
        self._all = TokenBucket(*ALL)

    def take(self, address: str, device: str = "") -> float:
        """Count a try, and return 0; or the seconds to wait, and it must not be made.

        `device`: a browser in which this user has been signed in before. It has tries of its own,
        so that nobody else can use them up: behind Docker, all the world may be one address.
        """
        now = self._clock()
        buckets = self._of(address, device)
        wait = max(bucket.wait(key, now) for bucket, key in buckets)
        if wait > 0:
            return wait
        for bucket, key in buckets:
            bucket.take(key, now)
        return 0.0

    def give_back(self, address: str, device: str = "") -> None:
        """The try was right: it does not count."""
        for bucket, key in self._of(address, device):
            bucket.give_back(key)

    def _of(self, address: str, device: str) -> list[tuple[TokenBucket, str]]:
        if device:
            return [(self._each, f"device {device}")]
        return [(self._each, network(address)), (self._all, "")]
