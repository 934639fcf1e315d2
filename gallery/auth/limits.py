"""How often a password may be tried: by an address, by a browser that is known, by all together."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 4096  # whom a bucket remembers, about 1 MB; who has rested long enough needs no remembering
FEW = (5, 30.0)  # tries at once, then one every so many seconds: 2,900 a day
ALL = (20, 6.0)  # the same of all together


class TokenBucket:
    """Token buckets by key. Each is the one time at which it is full again."""

    def __init__(self, burst: int, every: float) -> None:
        self._every = every
        self._depth = burst * every
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def wait(self, key: str, now: float) -> float:
        """Seconds until there is a token; 0 or less if there is one."""
        full = max(self._full.get(key, now), now)
        return full + self._every - self._depth - now

    def take(self, key: str, now: float) -> None:
        full = max(self._full.pop(key, now), now) + self._every
        if len(self._full) >= MOST:
            self._forget(now)
        self._full[key] = full

    def give_back(self, key: str) -> None:
        if key in self._full:
            self._full[key] -= self._every

    def _forget(self, now: float) -> None:
        for key in [key for key, full in self._full.items() if full <= now]:
            del self._full[key]
        while len(self._full) >= MOST:
            self._full.popitem(last=False)


class LoginLimits:
    """Tries at passwords. `clock`: seconds that only grow."""

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


def network(address: str) -> str:
    """What one person has of addresses: one of IPv4, 2^64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)
