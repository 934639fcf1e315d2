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

    def wait(self, key: str, now: float, tokens: float = 1) -> float:
        """Seconds until there are so many tokens; 0 or less if there are."""
        full = max(self._full.get(key, now), now)
        return full + tokens * self._every - self._depth - now

    def take(self, key: str, now: float, tokens: float = 1) -> None:
        """Take tokens, whether there are so many or not."""
        full = max(self._full.pop(key, now), now) + tokens * self._every
        if len(self._full) >= MOST:
            self._forget(now)
        self._full[key] = full

    def try_take(self, key: str, now: float, tokens: float = 1) -> bool:
        """Take tokens if there are so many; whether there were."""
        if self.wait(key, now, tokens) > 0:
            return False
        self.take(key, now, tokens)
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
