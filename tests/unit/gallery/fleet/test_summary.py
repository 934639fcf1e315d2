"""A device as the sum of its services, and which devices come first."""

from __future__ import annotations

from typing import Any

from prometheus_client import REGISTRY

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


def test_a_device_that_floods_is_named_with_the_command_that_cuts_it_off(
    fleet: ReportingFleet,
) -> None:
    reasons = {"sender_jetson-1": "floods"}
    facts: dict[str, Any] = {"status": "degraded", "reasons": reasons}
    facts["refused"] = {"jetson-1": 70_000}
    fleet.says("cloud/broker/main", **facts)
    named = "broker main: device jetson-1 floods; to cut it off: enroll revoke jetson-1"
    assert fleet.summary("cloud").reasons == (named,)
    labels = {"device": "jetson-1"}
    name = "facepipe_broker_device_messages_refused"
    assert REGISTRY.get_sample_value(name, labels) == 70_000
    # A device that accuses another one is not believed.
    fleet.says("jetson-2/detector/door", **facts | {"refused": {"jetson-1": 1}})
    assert fleet.summary("jetson-2").reasons == ("detector door: sender jetson-1 floods",)
    assert REGISTRY.get_sample_value(name, labels) == 70_000
