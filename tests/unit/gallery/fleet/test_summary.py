"""A device as the sum of its services, and which devices come first."""

from __future__ import annotations

from typing import Any

from gallery.fleet.summary import sort_key
from testing.services.fleet import NOW, ReportingFleet


def test_a_device_is_the_sum_of_its_services(fleet: ReportingFleet) -> None:
    books: dict[str, Any] = {
        "waiting": 3,
        "dropped": {"full": 2},
        "round_trip": 0.2,
        "certificate_days": 80,
    }
    for seconds in (0, 10):
        fleet.now = NOW + seconds
        fleet.says(frames=seconds * 10, captured=seconds, **books)
        fleet.says("jetson-1/detector/yard", frames=seconds * 20, captured=0, **books)
        fleet.says("jetson-1/forwarder/main", waiting=5, certificate_days=12)
    silent: dict[str, Any] = {"status": "degraded", "reasons": {"camera": "silent"}}
    fleet.says("jetson-1/detector/yard", frames=200, captured=0, **silent, **books)
    summary = fleet.summary()
    assert (summary.frames, summary.faces, summary.services) == (30, 1, 3)
    assert summary.waiting == 6  # what the forwarder holds, its detectors still have
    assert (dict(summary.dropped), summary.round_trip) == ({"full": 4}, 0.2)
    assert summary.certificate_days == 12
    assert (summary.state, summary.reasons) == ("degraded", ("detector yard: camera silent",))
    fleet.later(86_400)
    assert fleet.summary().certificate_days == 11
    assert (fleet.summary().frames, fleet.summary().waiting) == (None, 6)


def test_those_in_trouble_come_first_then_by_name(fleet: ReportingFleet) -> None:
    fleet.says("c/detector/door", at=NOW - 900)
    fleet.says("b/detector/door")
    fleet.says("a/detector/door")
    fleet.says("d/detector/door", status="degraded", reasons={"edge_broker": "refused"})
    found = sorted((fleet.summary(name) for name in "abcd"), key=sort_key)
    assert [one.name for one in found] == ["c", "d", "a", "b"]
