"""No sender's messages use up what is there for all."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.shares import MESSAGE_COST, Shares

ROOM = 100 * MESSAGE_COST


def fill(shares: Shares, sender: str, size: int = 0) -> int:
    """How many messages of one sender are taken in until no more are."""
    count = 0
    while shares.admit(sender, size):
        count += 1
    return count


def test_one_sender_may_have_half_of_all_in_hand_and_leaves_the_rest() -> None:
    shares = Shares(ROOM, 1)
    assert fill(shares, "thief") == 50
    assert fill(shares, "honest") == 25
    assert not shares.admit("thief", 0)


def test_an_empty_message_costs_something() -> None:
    shares = Shares(ROOM, 1)
    shares.admit("thief", 0)
    assert shares.bytes == MESSAGE_COST


def test_a_sender_with_nothing_in_hand_may_have_one_message_of_any_size() -> None:
    shares = Shares(ROOM, 1)
    assert shares.admit("door", ROOM // 2)
    assert shares.admit("lobby", ROOM)
    assert not shares.admit("garage", 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50_000)), max_size=60))
def test_what_is_released_is_free_again(messages: list[tuple[str, int]]) -> None:
    shares = Shares(ROOM, 1)
    taken = [message for message in messages if shares.admit(*message)]
    assert shares.bytes == sum(size + MESSAGE_COST for _, size in taken)
    for message in taken:
        shares.release(*message)
    assert shares.bytes == 0
    assert fill(shares, "a") == 50


def test_turns_go_round_by_sender_and_not_by_arrival() -> None:
    async def play() -> list[str]:
        shares, served = Shares(ROOM, 2), list[str]()
        gate = asyncio.Event()

        async def work(sender: str) -> None:
            async with shares.turn(sender):
                await gate.wait()
                served.append(sender)

        tasks = [asyncio.create_task(work("thief")) for _ in range(30)]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(work(name)) for name in ("door", "lobby", "door")]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks)
        return served

    served = asyncio.run(play())
    assert Counter(served) == {"thief": 30, "door": 2, "lobby": 1}
    assert {"door", "lobby"} <= set(served[:7])
    assert served[:9].count("door") == 2


def test_a_turn_that_is_given_up_while_waiting_goes_to_the_next() -> None:
    async def play() -> str:
        shares = Shares(ROOM, 1)
        async with shares.turn("first"):
            given_up = asyncio.create_task(_one_turn(shares))
            last = asyncio.create_task(_one_turn(shares))
            await asyncio.sleep(0)
            given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await asyncio.wait_for(last, 10)

    assert asyncio.run(play()) == "done"


async def _one_turn(shares: Shares) -> str:
    async with shares.turn("other"):
        return "done"
