"""The fleet: what services tell of themselves, kept, judged, summed up and sampled."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from common.protocol.clock import to_rfc3339
from common.protocol.fields import BadMessage
from gallery.fleet import Fleet, presentation
from gallery.fleet.instance import Instance, InstanceName, RateMeter
from gallery.fleet.samples import DAY, EVERY, PLACES, Samples
from gallery.fleet.status_reader import read
from gallery.fleet.statuses import OF_DEVICE_MAX, Statuses
from gallery.fleet.summary import sort_key, state_of, summarize

NOW = 1_795_000_000.0  # seconds since 1970
PROCESSOR = InstanceName("cloud", "processor", "one")
HTML = "<img src=x onerror=alert(1)>"


class Told:
    """Statuses with clocks of their own, and services that speak to it."""

    def __init__(self) -> None:
        self.now = NOW
        self.statuses = Statuses("faces", ticks=lambda: self.now - NOW, wall=lambda: self.now)

    def says(
        self, name: str = "jetson-1/detector/door", /, at: float | None = None, **facts: Any
    ) -> str | None:
        message = {"state": "online", "at": to_rfc3339(at or self.now), "period": 10, **facts}
        return self.tells(name, message)

    def tells(self, name: str, message: dict[str, Any]) -> str | None:
        return self.statuses.take(f"faces/status/{name}", json.dumps(message).encode())

    def later(self, seconds: float = 10.0) -> None:
        self.now += seconds

    def instance(self, name: str = "jetson-1/detector/door") -> Instance:
        wanted = InstanceName(*name.split("/"))
        return next(one for one in self.statuses if one.name == wanted)

    def state(self, name: str = "jetson-1/detector/door") -> str:
        one = self.instance(name)
        return state_of(one, self.statuses.of(one.name.device))

    def summary(self, device: str = "jetson-1") -> Any:
        return summarize(device, self.statuses.of(device), self.now)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Samples]:
    made = Samples(tmp_path / "fleet.db")
    yield made
    made.close()


# --- who is heard


def test_a_service_that_tells_of_itself_is_online(told: Told) -> None:
    assert told.says() == "jetson-1"
    assert told.state() == "online"
    assert told.summary().state == "online"


def test_three_periods_without_a_word_mean_not_heard_since(told: Told) -> None:
    told.says()
    told.later(29)
    assert told.state() == "online"
    told.later(1)
    assert told.state() == "silent"
    assert (told.summary().state, told.summary().since) == ("silent", NOW)


def test_a_period_of_a_year_keeps_nobody_online_for_ever(told: Told) -> None:
    told.says(period=3e7)
    told.later(1801)
    assert told.state() == "silent"


def test_what_was_retained_long_ago_is_no_sign_of_life(told: Told) -> None:
    told.says(at=NOW - 3600)
    assert told.state() == "silent"
    assert told.summary().since == NOW - 3600
    told.later()
    told.says()
    assert told.state() == "online"


def test_what_was_retained_a_moment_ago_is_as_old_as_it_says(told: Told) -> None:
    told.says(at=NOW - 20)
    assert told.state() == "online"
    told.later(10)
    assert told.state() == "silent"


@pytest.mark.parametrize("wrong", [-3e7, 3e7, -1.7e9])
def test_a_device_whose_clock_is_wrong_is_heard_all_the_same(told: Told, wrong: float) -> None:
    told.says(at=NOW + wrong)
    assert told.state() == "silent"  # it may be anybody's, of any time
    told.later()
    told.says(at=told.now + wrong)
    assert (told.state(), told.instance().since) == ("online", told.now)


def test_the_same_message_told_anew_is_no_sign_of_life(told: Told) -> None:
    told.says()
    for _ in range(4):
        told.later()
        told.statuses.disconnected()
        told.says(at=NOW)
    assert told.state() == "silent"


def test_what_comes_first_after_a_gap_of_ours_is_judged_by_its_time(told: Told) -> None:
    told.says()
    told.later(3600)
    told.statuses.disconnected()
    told.says(at=NOW + 1800)
    assert (told.state(), told.instance().since) == ("silent", NOW + 1800)


def test_a_last_will_means_offline_since_it_came(told: Told) -> None:
    told.says()
    told.later(5)
    told.says(state="offline", at=NOW - 3600)
    assert (told.state(), told.instance().since) == ("offline", NOW + 5)
    told.says("jetson-1/detector/yard")
    assert told.summary().state == "down"
    assert told.summary().reasons == ("detector door: offline",)


@pytest.mark.parametrize("how", ["offline", "silent"])
def test_without_its_forwarder_nothing_of_a_device_is_heard(told: Told, how: str) -> None:
    told.says()
    told.says("jetson-1/forwarder/main")
    assert told.summary().state == "online"
    if how == "silent":
        told.later(30)
        told.says()
    else:
        told.says("jetson-1/forwarder/main", state="offline")
    assert told.state() == "silent"
    assert told.summary().state == "silent"


def test_a_service_that_was_stopped_in_order_is_gone(told: Told) -> None:
    told.says()
    assert told.statuses.take("faces/status/jetson-1/detector/door", b"") == "jetson-1"
    assert told.statuses.devices == []
    assert told.statuses.take("faces/status/jetson-1/detector/door", b"") is None


def test_a_replica_of_long_ago_is_no_trouble_while_another_is_at_work(told: Told) -> None:
    told.says("cloud/processor/old")
    told.says("cloud/processor/old", state="offline")
    told.says("cloud/processor/new")
    assert told.summary("cloud").state == "down"
    told.later(86_401)
    told.says("cloud/processor/new")
    assert (told.summary("cloud").state, told.summary("cloud").services) == ("online", 1)


# --- figures


def test_rates_come_of_two_messages_by_their_senders_clock(told: Told) -> None:
    told.says(frames=100, captured=7, frames_skipped=0)
    assert told.instance().rates.frames is None
    told.later(9)  # the first one was slower on its way
    told.says(at=NOW + 10, frames=350, captured=12, frames_skipped=5)
    rates = told.instance().rates
    assert (rates.frames, rates.faces, rates.skipped) == (25, 0.5, 0.5)


@pytest.mark.parametrize("facts", [{"at": NOW + 9e6}, {"at": NOW - 9e6}, {"frames": 3}])
def test_no_rate_is_told_over_a_restart_or_a_clock_that_was_set(
    told: Told, facts: dict[str, Any]
) -> None:
    told.says(frames=100)
    told.later()
    told.says(**{"frames": 350, **facts})
    assert told.instance().rates.frames is None
    told.later()
    told.says(at=facts.get("at", NOW + 10) + 10, frames=facts.get("frames", 350) + 100)
    assert told.instance().rates.frames == 10


def test_a_message_in_between_does_not_spoil_a_rate(told: Told) -> None:
    told.says(frames=0)
    told.later()
    told.says(frames=100)
    told.later(0.2)
    told.says(frames=150)
    assert told.instance().rates.frames == 10
    told.later(9.8)
    told.says(frames=200)
    assert told.instance().rates.frames == 10


def test_a_device_is_the_sum_of_its_services(told: Told) -> None:
    books = {"waiting": 3, "dropped": {"full": 2}, "round_trip": 0.2, "certificate_days": 80}
    for seconds in (0, 10):
        told.now = NOW + seconds
        told.says(frames=seconds * 10, captured=seconds, **books)
        told.says("jetson-1/detector/yard", frames=seconds * 20, captured=0, **books)
        told.says("jetson-1/forwarder/main", waiting=5, certificate_days=12)
    silent = {"status": "degraded", "reasons": {"camera": "silent"}}
    told.says("jetson-1/detector/yard", frames=200, captured=0, **silent, **books)
    summary = told.summary()
    assert (summary.frames, summary.faces, summary.services) == (30, 1, 3)
    assert summary.waiting == 6  # what the forwarder holds, its detectors still have
    assert (dict(summary.dropped), summary.round_trip) == ({"full": 4}, 0.2)
    assert summary.certificate_days == 12
    assert (summary.state, summary.reasons) == ("degraded", ("detector yard: camera silent",))
    told.later(86_400)
    assert told.summary().certificate_days == 11
    assert (told.summary().frames, told.summary().waiting) == (None, 6)


def test_those_in_trouble_come_first_then_by_name(told: Told) -> None:
    told.says("c/detector/door", at=NOW - 900)
    told.says("b/detector/door")
    told.says("a/detector/door")
    told.says("d/detector/door", status="degraded", reasons={"edge_broker": "refused"})
    found = sorted((told.summary(name) for name in "abcd"), key=sort_key)
    assert [one.name for one in found] == ["c", "d", "a", "b"]


def test_a_device_that_floods_is_named_with_the_command_that_cuts_it_off(told: Told) -> None:
    reasons = {"sender_jetson-1": "floods"}
    facts = {"status": "degraded", "reasons": reasons, "refused": {"jetson-1": 70_000}}
    told.says("cloud/broker/main", **facts)
    named = "broker main: device jetson-1 floods; to cut it off: enroll revoke jetson-1"
    assert told.summary("cloud").reasons == (named,)
    labels = {"device": "jetson-1"}
    name = "facepipe_broker_device_messages_refused"
    assert REGISTRY.get_sample_value(name, labels) == 70_000
    # A device that accuses another one is not believed.
    told.says("jetson-2/detector/door", **facts | {"refused": {"jetson-1": 1}})
    assert told.summary("jetson-2").reasons == ("detector door: sender jetson-1 floods",)
    assert REGISTRY.get_sample_value(name, labels) == 70_000


# --- strangers


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"{",
        b"[1]",
        b"null",
        b'"online"',
        b"[" * 10_000,
        b'{"frames":' + b"9" * 5000 + b"}",
        b'{"x":"' + b"a" * 20_000 + b'"}',
    ],
)
def test_what_is_no_status_is_passed_over(told: Told, payload: bytes) -> None:
    with pytest.raises(BadMessage):
        read(payload)
    assert told.statuses.take("faces/status/jetson-1/detector/door", payload) is None
    assert len(told.statuses) == 0


@pytest.mark.parametrize(
    "value",
    [None, True, "x", HTML, "\ud800", [], [[]], {}, {"a": {}}, -1, 1e308, 10**400, float("nan")],
    ids=lambda value: repr(value)[:40],
)
def test_any_value_may_be_of_any_kind_and_nothing_breaks(told: Told, value: Any) -> None:
    telling = (
        "state at period version status reasons frames frames_skipped captured confirmed sent"
        " rejected dropped waiting waiting_bytes oldest_seconds round_trip certificate_days"
        " camera_ended"
    )
    told.says()
    for _ in range(2):
        told.later()
        told.tells("jetson-1/detector/door", dict.fromkeys(telling.split(), value))
    assert told.instance().state in ("online", "degraded", "offline", "silent")
    row = presentation.row(told.summary())
    shown = presentation.service(told.instance(), told.state(), told.now)
    json.dumps([row, shown], allow_nan=False).encode()


@pytest.mark.parametrize(
    "value", [{HTML: HTML}, {"a" * 1000: "b" * 1000}, {str(i): i for i in range(300)}]
)
def test_what_is_kept_of_a_message_is_small_whatever_it_has(told: Told, value: Any) -> None:
    told.says(version="v" * 999, reasons=value, dropped=value, rejected=value)
    message = told.instance().message
    assert message is not None
    assert len(message.version) == 64
    assert len(message.reasons) <= 12
    assert len(message.dropped) <= 13
    assert all(len(word) <= 64 for pair in message.reasons.items() for word in pair)
    if len(value) == 300:
        assert sum(message.dropped.values()) == sum(range(300))


@pytest.mark.parametrize(
    "name",
    ["jetson-1", "a/b", "a/b/c/d", "/b/c", "a//c", "a/b/", "a/b/c\u202e", f"{'a' * 65}/b/c"],
)
def test_a_topic_that_names_no_service_is_passed_over(told: Told, name: str) -> None:
    assert told.says(name) is None
    assert told.statuses.take("other/status/a/b/c", b"{}") is None
    assert len(told.statuses) == 0


def test_one_device_cannot_push_out_another(told: Told) -> None:
    told.says()
    for number in range(OF_DEVICE_MAX + 100):
        told.says(f"loud/detector/{number}")
    assert len(told.statuses) == OF_DEVICE_MAX + 1
    told.later(60)
    assert told.says("loud/detector/new") == "loud"  # in the place of one that is not heard
    assert len(told.statuses) == OF_DEVICE_MAX + 1


def test_a_thousand_devices_fit_and_who_is_silent_makes_room(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        told.says(f"box-{number}/detector/camera-0")
        told.says(f"box-{number}/forwarder/main")
    assert len(told.statuses.devices) == 1000
    monkeypatch.setattr("gallery.fleet.statuses.INSTANCES_MAX", 2000)
    assert told.says("one-more/forwarder/main") is None
    told.later(60)
    assert told.says("one-more/forwarder/main") == "one-more"
    assert len(told.statuses) == 2000


# --- the last day


def tally(**figures: float) -> RateMeter:
    return RateMeter(seconds=300, **figures)


def test_samples_are_there_after_a_restart_with_gaps_where_nothing_came(tmp_path: Path) -> None:
    end = int(NOW) // EVERY * EVERY
    first = Samples(tmp_path / "fleet.db")
    first.add(end - 2 * EVERY, [(PROCESSOR, tally(faces=600, waiting=2))])
    first.add(end, [(PROCESSOR, tally(faces=300, waiting=4))])
    first.close()
    again = Samples(tmp_path / "fleet.db")
    (series,) = again.of("cloud", NOW)
    assert series.name == PROCESSOR
    assert series.begin + (PLACES - 1) * EVERY == end
    assert series.values["faces"][-4:] == [None, 2, None, 1]
    assert series.values["waiting"][-1] == 4
    assert "frames" not in series.values
    assert again.lasts() == {PROCESSOR: end}
    assert again.of("jetson-1", NOW) == []
    again.close()


def test_a_day_is_kept_and_no_more(samples: Samples, tmp_path: Path) -> None:
    end = int(NOW) // EVERY * EVERY
    for place in range(PLACES + 50):
        samples.add(end + place * EVERY, [(PROCESSOR, tally(faces=place * 300))])
    at = end + (PLACES + 49) * EVERY
    (series,) = samples.of("cloud", at)
    assert series.values["faces"] == list(range(50, PLACES + 50))
    with sqlite3.connect(tmp_path / "fleet.db") as db:
        assert db.execute("SELECT count(*) FROM sample").fetchone() == (PLACES,)
    db.close()
    samples.add(at + DAY, [])
    assert samples.lasts() == {}


def test_a_clock_that_was_set_back_leaves_no_samples_of_the_future(samples: Samples) -> None:
    samples.add(int(NOW) + 10 * DAY, [(PROCESSOR, tally(faces=1))])
    samples.add(int(NOW), [(InstanceName("a", "b", "c"), tally(faces=1))])
    assert set(samples.lasts()) == {InstanceName("a", "b", "c")}


def test_the_file_has_room_for_so_many_services_the_latest_ones(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "fleet.db", max_services=10)
    for step in range(3):
        names = [InstanceName(f"box-{step}-{number}", "detector", "door") for number in range(10)]
        samples.add((int(NOW) // EVERY + step) * EVERY, [(name, tally()) for name in names])
    assert set(samples.lasts()) == set(names)
    samples.close()


@pytest.mark.parametrize("how", ["no database", "damaged", "of another version"])
def test_a_file_that_cannot_be_used_is_begun_anew_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    path = tmp_path / "fleet.db"
    if how == "no database":
        path.write_bytes(b"not at all" * 1000)
    else:
        made = Samples(path)
        for place in range(PLACES):
            made.add(place * EVERY, [(PROCESSOR, tally(faces=1))])
        made.close()
        if how == "damaged":
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xee" * (size - 4096))
        else:
            db = sqlite3.connect(path)
            db.execute("PRAGMA user_version = 99")
            db.close()
    samples = Samples(path)
    assert "the charts start over (damaged)" in caplog.text
    samples.add(int(NOW), [(PROCESSOR, tally(faces=1))])
    assert samples.lasts() == {PROCESSOR: int(NOW)}
    samples.close()


def test_what_came_since_the_last_sample_is_told_once(told: Told) -> None:
    told.says(frames=0, captured=0, waiting=1, dropped={})
    for step in range(1, 4):
        told.later()
        told.says(frames=step * 100, captured=step, waiting=step % 3, dropped={"full": step})
    found = told.instance().sampled()
    assert found is not None
    assert (found.seconds, found.frames, found.faces) == (30, 300, 3)
    assert (found.waiting, found.dropped) == (2, 3)
    assert told.instance().sampled() is None


# --- all of it together


class Pages:
    """Stands for the hub with its open pages."""

    def __init__(self, watched: bool = True) -> None:
        self.watched = watched
        self.told: list[dict[str, Any]] = []

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        assert kind == "status"
        self.told.append(json.loads(json.dumps(data)))


def status(**facts: Any) -> bytes:
    return json.dumps(
        {"state": "online", "at": to_rfc3339(time.time()), "period": 10, **facts}
    ).encode()


async def happens(condition: Any) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


def test_open_pages_are_told_what_changes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.fleet.registry.TELL_EVERY", 0.01)
    pages = Pages()

    async def run() -> None:
        fleet = Fleet(tmp_path, "faces", pages, own="faces/status/cloud/gallery/g")
        fleet.connected()
        telling = asyncio.create_task(fleet.keep_telling())
        fleet.take("faces/status/jetson-1/detector/door", status(waiting=3))
        await happens(lambda: len(pages.told) == 2)
        fleet.take("faces/status/jetson-1/detector/door", status(waiting=3))
        fleet.take("faces/status/cloud/gallery/g", status())
        fleet.take("faces/status/jetson-2/detector/door", status())
        await happens(lambda: len(pages.told) == 3)
        fleet.take("faces/status/jetson-1/detector/door", b"")
        await happens(lambda: len(pages.told) == 4)
        telling.cancel()

    asyncio.run(run())
    connected, first, second, third = pages.told
    assert connected == {"connected": True}
    assert [row["name"] for row in first["devices"]] == ["jetson-1"]
    assert first["devices"][0]["cells"]["waiting"] == "3"
    assert [row["name"] for row in second["devices"]] == ["jetson-2"]
    assert third == {"devices": [], "gone": ["jetson-1"]}


def test_who_goes_silent_is_told_though_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.fleet.registry.TELL_EVERY", 0.01)
    monkeypatch.setattr("gallery.fleet.registry.LOOK_EVERY", 0.01)
    pages = Pages()

    async def run() -> None:
        fleet = Fleet(tmp_path, "faces", pages)
        telling = asyncio.create_task(fleet.keep_telling())
        fleet.take("faces/status/jetson-1/detector/door", status(period=1))
        await happens(lambda: len(pages.told) == 2)
        telling.cancel()

    asyncio.run(run())
    assert [event["devices"][0]["state"] for event in pages.told] == ["online", "silent"]


def test_samples_and_when_who_was_heard_outlive_the_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.fleet.registry.EVERY", 10**10)  # the test alone says when
    now = time.time()
    end = int(now) // EVERY * EVERY

    async def run() -> None:
        fleet = Fleet(tmp_path, "faces", Pages(watched=False))
        sampling = asyncio.create_task(fleet.keep_sampling())
        for frames in (0, 1000):
            at = to_rfc3339(now - 20 + frames / 100)
            fleet.take("faces/status/jetson-1/detector/door", status(at=at, frames=frames))
        await fleet.sample(end)
        (series,) = await fleet.samples("jetson-1")
        assert series.values["frames"][-1] == pytest.approx(100, rel=0.01)
        sampling.cancel()

    async def again() -> None:
        fleet = Fleet(tmp_path, "faces", Pages(watched=False))
        sampling = asyncio.create_task(fleet.keep_sampling())
        will = {"state": "offline", "at": to_rfc3339(0), "period": 10}
        fleet.take("faces/status/jetson-1/detector/door", json.dumps(will).encode())
        await happens(lambda: fleet.services("jetson-1")[0].since)
        (one,) = fleet.devices()
        assert (one.state, one.since) == ("silent", end)
        sampling.cancel()

    asyncio.run(run())
    asyncio.run(again())


def test_without_a_disk_the_fleet_is_shown_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "file").write_text("no folder")

    async def run() -> None:
        fleet = Fleet(tmp_path / "file", "faces", Pages())
        sampling = asyncio.create_task(fleet.keep_sampling())
        fleet.take("faces/status/jetson-1/detector/door", status())
        await happens(lambda: "cannot be opened" in caplog.text)
        await fleet.sample(0)
        assert await fleet.samples("jetson-1") == []
        assert [one.state for one in fleet.devices()] == ["online"]
        sampling.cancel()

    asyncio.run(run())
