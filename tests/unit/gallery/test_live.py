"""Live updates: what a page gets that was made a while ago, or whose connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gallery.live import WAITING, Event, EventHub


def events(hub: EventHub, after: str, count: int) -> list[tuple[str, object]]:
    """Kind and data of the first events behind an id."""

    async def take() -> list[tuple[str, object]]:
        with hub.subscribe(after=after) as page:
            return [(event.kind, event.data.get("n")) for event in await all_of(page.next, count)]

    return asyncio.run(take())


async def all_of(step: Callable[[], Awaitable[Event]], count: int) -> list[Event]:
    return [await step() for _ in range(count)]


def publish(hub: EventHub, *numbers: int, kind: str = "faces") -> None:
    for number in numbers:
        hub.publish(kind, {"n": number})


def test_what_came_after_a_page_was_made_is_sent_when_it_listens() -> None:
    hub = EventHub()
    publish(hub, 1)
    made = hub.position
    publish(hub, 2)
    publish(hub, 3, kind="gone")
    assert events(hub, made, 2) == [("faces", 2), ("gone", 3)]


def test_a_page_that_has_all_gets_the_next_event_only() -> None:
    hub = EventHub()
    publish(hub, 1, 2)

    async def take() -> object:
        with hub.subscribe(after=hub.position) as page:
            publish(hub, 3)
            return (await page.next()).data

    assert asyncio.run(take()) == {"n": 3}


def test_states_are_not_sent_again_and_move_no_position() -> None:
    hub = EventHub()
    made = hub.position
    publish(hub, 1, kind="status")
    assert hub.position == made
    publish(hub, 2)
    assert events(hub, made, 1) == [("faces", 2)]


def test_a_page_too_far_behind_is_told_that_it_missed_some() -> None:
    hub = EventHub()
    made = hub.position
    publish(hub, *range(WAITING))
    assert events(hub, made, 1) == [("faces", 0)]
    publish(hub, WAITING)
    assert events(hub, made, 1) == [("missed", None)]


def test_the_id_of_another_run_of_the_gallery_counts_as_missed() -> None:
    assert events(EventHub(), EventHub().position, 1) == [("missed", None)]
    assert events(EventHub(), "no id", 1) == [("missed", None)]
