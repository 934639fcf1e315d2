"""Which services are heard, and how long; what strangers may say is bounded."""

from __future__ import annotations

import pytest

from gallery.fleet.statuses import OF_DEVICE_MAX
from testing.services.fleet import NOW, ReportingFleet


def test_a_service_that_tells_of_itself_is_online(fleet: ReportingFleet) -> None:
    assert fleet.says() == "jetson-1"
    assert fleet.state() == "online"
    assert fleet.summary().state == "online"


def test_three_periods_without_a_word_mean_not_heard_since(fleet: ReportingFleet) -> None:
    fleet.says()
    fleet.later(29)
    assert fleet.state() == "online"
    fleet.later(1)
    assert fleet.state() == "silent"
    assert (fleet.summary().state, fleet.summary().since) == ("silent", NOW)


def test_a_period_of_a_year_keeps_nobody_online_for_ever(fleet: ReportingFleet) -> None:
    fleet.says(period=3e7)
    fleet.later(1801)
    assert fleet.state() == "silent"


def test_what_was_retained_long_ago_is_no_sign_of_life(fleet: ReportingFleet) -> None:
    fleet.says(at=NOW - 3600)
    assert fleet.state() == "silent"
    assert fleet.summary().since == NOW - 3600
    fleet.later()
    fleet.says()
    assert fleet.state() == "online"


def test_what_was_retained_a_moment_ago_is_as_old_as_it_says(fleet: ReportingFleet) -> None:
    fleet.says(at=NOW - 20)
    assert fleet.state() == "online"
    fleet.later(10)
    assert fleet.state() == "silent"


@pytest.mark.parametrize("wrong", [-3e7, 3e7, -1.7e9])
def test_a_device_whose_clock_is_wrong_is_heard_all_the_same(
    fleet: ReportingFleet, wrong: float
) -> None:
    fleet.says(at=NOW + wrong)
    assert fleet.state() == "silent"  # it may be anybody's, of any time
    fleet.later()
    fleet.says(at=fleet.now + wrong)
    assert (fleet.state(), fleet.instance().since) == ("online", fleet.now)


def test_the_same_message_told_anew_is_no_sign_of_life(fleet: ReportingFleet) -> None:
    fleet.says()
    for _ in range(4):
        fleet.later()
        fleet.statuses.disconnected()
        fleet.says(at=NOW)
    assert fleet.state() == "silent"


def test_what_comes_first_after_a_gap_of_ours_is_judged_by_its_time(fleet: ReportingFleet) -> None:
    fleet.says()
    fleet.later(3600)
    fleet.statuses.disconnected()
    fleet.says(at=NOW + 1800)
    assert (fleet.state(), fleet.instance().since) == ("silent", NOW + 1800)


def test_a_last_will_means_offline_since_it_came(fleet: ReportingFleet) -> None:
    fleet.says()
    fleet.later(5)
    fleet.says(state="offline", at=NOW - 3600)
    assert (fleet.state(), fleet.instance().since) == ("offline", NOW + 5)
    fleet.says("jetson-1/detector/yard")
    assert fleet.summary().state == "down"
    assert fleet.summary().reasons == ("detector door: offline",)


@pytest.mark.parametrize("how", ["offline", "silent"])
def test_without_its_forwarder_nothing_of_a_device_is_heard(
    fleet: ReportingFleet, how: str
) -> None:
    fleet.says()
    fleet.says("jetson-1/forwarder/main")
    assert fleet.summary().state == "online"
    if how == "silent":
        fleet.later(30)
        fleet.says()
    else:
        fleet.says("jetson-1/forwarder/main", state="offline")
    assert fleet.state() == "silent"
    assert fleet.summary().state == "silent"


def test_a_service_that_was_stopped_in_order_is_gone(fleet: ReportingFleet) -> None:
    fleet.says()
    assert fleet.statuses.take("faces/status/jetson-1/detector/door", b"") == "jetson-1"
    assert fleet.statuses.devices == []
    assert fleet.statuses.take("faces/status/jetson-1/detector/door", b"") is None


def test_a_replica_of_long_ago_is_no_trouble_while_another_is_at_work(
    fleet: ReportingFleet,
) -> None:
    fleet.says("cloud/processor/old")
    fleet.says("cloud/processor/old", state="offline")
    fleet.says("cloud/processor/new")
    assert fleet.summary("cloud").state == "down"
    fleet.later(86_401)
    fleet.says("cloud/processor/new")
    assert (fleet.summary("cloud").state, fleet.summary("cloud").services) == ("online", 1)


@pytest.mark.parametrize(
    "name",
    ["jetson-1", "a/b", "a/b/c/d", "/b/c", "a//c", "a/b/", "a/b/c\u202e", f"{'a' * 65}/b/c"],
)
def test_a_topic_that_names_no_service_is_passed_over(fleet: ReportingFleet, name: str) -> None:
    assert fleet.says(name) is None
    assert fleet.statuses.take("other/status/a/b/c", b"{}") is None
    assert len(fleet.statuses) == 0


def test_one_device_cannot_push_out_another(fleet: ReportingFleet) -> None:
    fleet.says()
    for number in range(OF_DEVICE_MAX + 100):
        fleet.says(f"loud/detector/{number}")
    assert len(fleet.statuses) == OF_DEVICE_MAX + 1
    fleet.later(60)
    assert fleet.says("loud/detector/new") == "loud"  # in the place of one that is not heard
    assert len(fleet.statuses) == OF_DEVICE_MAX + 1


def test_a_thousand_devices_fit_and_who_is_silent_makes_room(
    fleet: ReportingFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        fleet.says(f"box-{number}/detector/camera-0")
        fleet.says(f"box-{number}/forwarder/main")
    assert len(fleet.statuses.devices) == 1000
    monkeypatch.setattr("gallery.fleet.statuses.INSTANCES_MAX", 2000)
    assert fleet.says("one-more/forwarder/main") is None
    fleet.later(60)
    assert fleet.says("one-more/forwarder/main") == "one-more"
    assert len(fleet.statuses) == 2000
