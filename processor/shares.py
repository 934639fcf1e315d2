"""A share for each sender: no device can use up the memory or the PUTs of all the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator

MESSAGE_COST = 4096  # bytes that a message costs beyond its payload, however small that is


class Shares:
    """How much each sender has in progress, and whose turn it is. Call it from the event loop only.

    A sender may have as much in progress as is still free: one alone half of all, two a third each,
    and there is always something left for a later one (dynamic thresholds with a factor of 1:
    Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches",
    IEEE/ACM Transactions on Networking, 1998). Turns rotate by sender, not by arrival (fair
    queueing: Nagle, RFC 970).
    """

    def __init__(self, max_bytes: int, turns: int) -> None:
        """`max_bytes` in progress from all senders together; `turns` at a time."""
        self._max_bytes = max_bytes
        self._free_turns = turns
        self._held: defaultdict[str, int] = defaultdict(int)
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.bytes = 0

    def admit(self, sender: str, size: int) -> bool:
        """Whether a message of `size` bytes is accepted; it counts until `release`.

        A sender with nothing in progress may always have one message, unless all is full.
        """
        cost = size + MESSAGE_COST
        free = self._max_bytes - self.bytes
        held = self._held.get(sender, 0)
        if free <= 0 or (held and held + cost > free):
            return False
        self._held[sender] = held + cost
        self.bytes += cost
        return True

    def release(self, sender: str, size: int) -> None:
        """End the progress of a message that was accepted."""
        cost = size + MESSAGE_COST
        self.bytes -= cost
        self._held[sender] -= cost
        if not self._held[sender]:
            del self._held[sender]

    @contextlib.asynccontextmanager
    async def turn(self, sender: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while the block runs."""
        if self._free_turns:
            self._free_turns -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(sender, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # the turn came at this very moment
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn to the sender that has waited longest for one."""
        while self._waiting:
            sender, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(sender)
            else:
                del self._waiting[sender]
            if not turn.done():
                turn.set_result(None)
                return
        self._free_turns += 1
