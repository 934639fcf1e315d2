"""Rate limits by key: the token bucket of RFC 2697, in its simplest form."""

from __future__ import annotations

from collections import OrderedDict

MOST = 4096  # keys that are stored, about 1 MB; a bucket that is full again needs no entry


class TokenBucket:
    """Token buckets by key. Each is stored as the time at which it is full again."""

    def __init__(self, burst: int, every: float) -> None:
        """`burst`: tokens in a full bucket; `every`: seconds until it gains one."""
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
        """Take a token, whether there is one or not."""
        full = max(self._full.pop(key, now), now) + self._every
        if len(self._full) >= MOST:
            self._forget(now)
        self._full[key] = full

    def try_take(self, key: str, now: float) -> bool:
        """Take a token if there is one; whether there was."""
        if self.wait(key, now) > 0:
            return False
        self.take(key, now)
        return True

    def give_back(self, key: str) -> None:
        """Return a token that was taken."""
        if key in self._full:
            self._full[key] -= self._every

    def _forget(self, now: float) -> None:
        for key in [key for key, full in self._full.items() if full <= now]:
            del self._full[key]
        while len(self._full) >= MOST:
            self._full.popitem(last=False)
