"""What one read brings about is done once, at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import Counter

from common.mqtt.write_batcher import BatchedCounter, WriteBatcher


async def in_turn(called: list[str]) -> tuple[WriteBatcher, Callable[[str], Callable[[], None]]]:
    return WriteBatcher.of(asyncio.get_running_loop()), lambda name: lambda: called.append(name)


def test_within_a_turn_calls_wait_for_its_end_and_may_ask_for_more() -> None:
    called: list[str] = []

    async def go() -> None:
        turn, note = await in_turn(called)
        with turn:
            turn.call(lambda: turn.call(note("asked for by the first")))
            turn.call(note("second"))
            assert called == []
        assert called == ["second", "asked for by the first"]

    asyncio.run(go())


def test_outside_of_one_they_come_when_the_loop_does() -> None:
    called: list[str] = []

    async def go() -> None:
        turn, note = await in_turn(called)
        turn.call(note("a"))
        turn.call(note("b"))
        assert called == []
        await asyncio.sleep(0)
        assert called == ["a", "b"]

    asyncio.run(go())


def test_a_call_that_fails_does_not_cost_the_others() -> None:
    called: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: called.append("told"))
        turn, note = await in_turn(called)
        for due in (fail, note("a"), fail, note("b")):
            turn.call(due)
        for _ in range(4):
            await asyncio.sleep(0)
        assert called == ["told", "a", "told", "b"]

    asyncio.run(go())


def test_what_is_counted_stands_in_the_metric_at_the_end_of_the_turn() -> None:
    counter = Counter("test_turns_tally", "For a test.", registry=None)

    async def go() -> None:
        turn = WriteBatcher.of(asyncio.get_running_loop())
        tally = BatchedCounter(turn, counter)
        for _ in range(2):
            with turn:
                tally()
                tally()
        tally()
        await asyncio.sleep(0)

    asyncio.run(go())
    assert [s.value for family in counter.collect() for s in family.samples] == [5.0]
