"""The figures of one service: rates between two messages, and samples of them."""

from __future__ import annotations

from typing import Any

import pytest

from testing.services.fleet import NOW, ReportingFleet


def test_rates_come_of_two_messages_by_their_senders_clock(fleet: ReportingFleet) -> None:
    fleet.says(frames=100, captured=7, frames_skipped=0)
    assert fleet.instance().rates.frames is None
    fleet.later(9)  # the first one was slower on its way
    fleet.says(at=NOW + 10, frames=350, captured=12, frames_skipped=5)
    rates = fleet.instance().rates
    assert (rates.frames, rates.faces, rates.skipped) == (25, 0.5, 0.5)


@pytest.mark.parametrize("facts", [{"at": NOW + 9e6}, {"at": NOW - 9e6}, {"frames": 3}])
def test_no_rate_is_told_over_a_restart_or_a_clock_that_was_set(
    fleet: ReportingFleet, facts: dict[str, Any]
) -> None:
    fleet.says(frames=100)
    fleet.later()
    fleet.says(**{"frames": 350, **facts})
    assert fleet.instance().rates.frames is None
    fleet.later()
    fleet.says(at=facts.get("at", NOW + 10) + 10, frames=facts.get("frames", 350) + 100)
    assert fleet.instance().rates.frames == 10


def test_a_message_in_between_does_not_spoil_a_rate(fleet: ReportingFleet) -> None:
    fleet.says(frames=0)
    fleet.later()
    fleet.says(frames=100)
    fleet.later(0.2)
    fleet.says(frames=150)
    assert fleet.instance().rates.frames == 10
    fleet.later(9.8)
    fleet.says(frames=200)
    assert fleet.instance().rates.frames == 10


def test_what_came_since_the_last_sample_is_told_once(fleet: ReportingFleet) -> None:
    fleet.says(frames=0, captured=0, waiting=1, dropped={})
    for step in range(1, 4):
        fleet.later()
        fleet.says(frames=step * 100, captured=step, waiting=step % 3, dropped={"full": step})
    found = fleet.instance().sampled()
    assert found is not None
    assert (found.seconds, found.frames, found.faces) == (30, 300, 3)
    assert (found.waiting, found.dropped) == (2, 3)
    assert fleet.instance().sampled() is None
