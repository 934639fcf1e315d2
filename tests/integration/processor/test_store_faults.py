"""A store that fails costs time, never a face; and no face is answered before it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.host.wallclock import WallClock
from testing.pictures import png
from testing.services.processor import DROPPED, DUPLICATES, FAILURES, Parts, storing


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with storing(tmp_path_factory.mktemp("broker")) as parts:
        yield parts


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("slow_down", "slow_down"),
        ("busy", "slow_down"),
        ("error", "server"),
        ("denied", "denied"),
        ("no_bucket", "no_bucket"),
        ("not_found", "no_bucket"),
        ("no_s3", "not_s3"),
        ("no_etag", "not_s3"),
        ("altered", "altered"),
        ("reset", "unreachable"),
    ],
)
def test_a_face_waits_for_the_store_and_is_written_once(
    at_work: Parts, fault: str, reason: str
) -> None:
    s3, service, sender = at_work
    before = service.metric(FAILURES, reason=reason)
    s3.failed.clear()
    s3.always = fault
    id = sender.send(png())
    until(lambda: len(s3.failed) >= 3, what="three tries")
    until(lambda: service.metric(FAILURES, reason=reason) >= before + 2)
    assert service.health()["reasons"] == {"bucket": reason}
    assert sender.receipts(id) == []
    s3.always = ""
    receipt = sender.receipt(id)
    assert receipt["outcome"] == "stored"
    assert s3.objects[receipt["key"]] == png()
    assert s3.writes.count(receipt["key"]) == 1
    assert len(sender.receipts(id)) == 1
    until(lambda: service.health()["status"] == "well")
    assert "Traceback" not in service.log


def test_a_write_whose_answer_is_lost_finds_its_own_object_at_the_next_try(
    at_work: Parts,
) -> None:
    s3, _, sender = at_work
    s3.script.extend(["lost", "lost"])
    receipt = sender.receipt(sender.send(png()))
    assert receipt["outcome"] == "stored"
    assert s3.writes.count(receipt["key"]) == 1
    assert s3.objects[receipt["key"]] == png()


def test_a_store_that_never_answers_is_asked_again(
    at_work: Parts,
) -> None:
    s3, service, sender = at_work
    s3.script.append("hang")
    slow = sender.send(png())
    until(lambda: s3.failed[-1:] == ["hang"])
    assert sender.receipt(sender.send(png()))["outcome"] == "stored"  # others are not held up
    assert sender.receipts(slow) == []
    assert sender.receipt(slow, 30)["outcome"] == "stored"
    assert service.metric(FAILURES, reason="timeout") == 1


def test_a_face_that_the_store_does_not_like_is_rejected_and_the_rest_flows_on(
    at_work: Parts,
) -> None:
    s3, service, sender = at_work
    s3.script.append("too_much")
    receipt = sender.receipt(sender.send(png()))
    assert (receipt["outcome"], receipt["reason"]) == ("rejected", "refused")
    assert s3.objects[receipt["key"]] == png()
    s3.script.extend(["too_much", "too_much"])
    nowhere = sender.send(png())
    until(lambda: service.metric(DROPPED, reason="refused") == 1)
    assert sender.receipt(sender.send(png()))["outcome"] == "stored"
    assert sender.receipts(nowhere) == []


def test_a_store_in_trouble_is_said_once_however_many_faces_meet_it(at_work: Parts) -> None:
    s3, service, sender = at_work
    before = service.log.count("trying again")
    s3.script.extend(["slow_down", "", "", ""] * 100)
    ids = [sender.send(png(seed=seed)) for seed in range(300)]
    assert {sender.receipt(id, 30)["outcome"] for id in ids} == {"stored"}
    assert service.metric(FAILURES, reason="slow_down") >= 75
    assert service.log.count("trying again") - before < 15


def test_a_copy_of_a_face_in_hand_is_not_taken_twice(
    at_work: Parts,
) -> None:
    s3, service, sender = at_work
    before = service.metric(DUPLICATES)
    s3.always = "slow_down"
    id = sender.send(png())
    sender.send(png(), id)
    sender.send(png(), id)
    until(lambda: service.metric(DUPLICATES) == before + 2)
    s3.always = ""
    receipt = sender.receipt(id)
    assert s3.writes.count(receipt["key"]) == 1
    assert sender.receipt(sender.send(png()))["outcome"] == "stored"
    assert len(sender.receipts(id)) == 1


def test_a_clock_that_jumps_by_an_hour_changes_no_key_and_holds_nothing_up(tmp_path: Path) -> None:
    wall = WallClock(tmp_path)
    with storing(tmp_path, **wall.env) as (s3, service, sender):
        for hours in (0, 1, -1):
            wall.shift(hours * 3600.0)
            id = sender.send(png(seed=hours), facts={"captured": "2026-03-01T23:00:00.5Z"})
            key = sender.receipt(id)["key"]
            assert key.endswith(f"/2026-03-01/face_1772406000500_{id}.png")
            assert s3.objects[key] == png(seed=hours)
        assert service.metric(FAILURES) == 0
