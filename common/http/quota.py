"""How many connections may be open, in all and from one address."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter

LOOPBACK = ("127.0.0.1", "::1")


class ConnectionQuota:
    """Counts open connections. Its methods may be called from any thread.

    An address may hold as many connections as are still free for all others: one alone half of
    them, two a third each (dynamic thresholds with a factor of 1, as in processor/shares.py). So
    whoever comes later finds a place. Loopback has places of its own beside those that it shares.
    A proxy comes for many people, so it may take all that are free.
    """

    def __init__(self, total: int, for_loopback: int, proxies: str = "") -> None:
        """`total`: connections at a time; `for_loopback`: those of them that only it may take.

        `proxies`: addresses or networks of proxies, with commas between them.
        """
        self._proxies = [ipaddress.ip_network(one) for one in proxies.split(",") if one]
        self._total = total
        self._shared = total - for_loopback
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> str:
        """Count a connection, which must `leave`; or return why it is refused: `all`, `address`."""
        key = network(address)
        with self._lock:
            total = self._open.total()
            if total >= self._total:
                return "all"
            if key not in LOOPBACK:
                free = self._shared - total + sum(self._open[own] for own in LOOPBACK)
                if free <= 0:
                    return "all"
                if self._open[key] >= free and not self._is_proxy(address):
                    return "address"
            self._open[key] += 1
            return ""

    def leave(self, address: str) -> None:
        """A connection that was counted is over."""
        key = network(address)
        with self._lock:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def _is_proxy(self, address: str) -> bool:
        return any(ipaddress.ip_address(address) in network for network in self._proxies)

    def __len__(self) -> int:
        with self._lock:
            return self._open.total()


def network(address: str) -> str:
    """What one person has of addresses: one of IPv4, 2^64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.is_loopback:
            return str(found)
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)
