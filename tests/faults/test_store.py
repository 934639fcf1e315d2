"""The store fails in every way it knows, its credentials run out: no face is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from testing.host.wait import until
from testing.services.pipeline import Pipeline, check
from testing.store.fake_s3 import FakeS3
from testing.store.iam import API_KEY, Iam

STORED = "facepipe_processor_faces_stored_total"
FAILURES = "facepipe_processor_put_failures_total"
LOST = "facepipe_mqtt_failures_total"
IEND = b"IEND\xaeB\x60\x82"  # how every PNG ends


def settled(line: Pipeline) -> None:
    line.recovers()
    found = line.settles()
    assert (found["dropped"], found["rejected"]) == (0, 0)
    check(line, found)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("slow_down", "slow_down"),
        ("busy", "slow_down"),
        ("denied", "denied"),
        ("error", "server"),
        ("reset", "unreachable"),
        ("hang", "timeout"),
    ],
)
def test_a_store_that_answers_badly(tmp_path: Path, fault: str, reason: str) -> None:
    with FakeS3() as s3, Pipeline(tmp_path, fake=s3) as line:
        line.captures(10)
        s3.always = fault
        until(lambda: line.processor.metric(FAILURES, reason=reason) >= 5, 40, f"5 {reason}")
        line.captures(10)
        s3.always = ""
        settled(line)


def test_a_store_whose_answers_are_lost_has_each_face_once(tmp_path: Path) -> None:
    """A face that is stored already is recognized when its PUT is tried again."""
    with FakeS3() as s3, Pipeline(tmp_path, fake=s3) as line:
        line.captures(10)
        s3.always = "lost"
        before = line.processor.metric(STORED)
        until(lambda: line.processor.metric(STORED) > before + 5, 40, "faces are stored")
        s3.always = ""
        settled(line)


def test_a_put_whose_bytes_are_altered_on_the_way(tmp_path: Path) -> None:
    with FakeS3() as s3, Pipeline(tmp_path, fake=s3) as line:
        altering, spoilt = True, IEND[:-1] + b"?"
        line.s3_link.upward = lambda: lambda data: data.replace(IEND, spoilt) if altering else data
        line.s3_link.reset()
        until(lambda: line.processor.metric(FAILURES, reason="altered") >= 10, 40, "10 refused")
        line.captures(10)
        altering = False
        settled(line)


@pytest.mark.parametrize("mode", ["refuse", "hole"])
def test_the_way_to_the_store_is_cut(tmp_path: Path, mode: str) -> None:
    with Pipeline(tmp_path) as line:
        line.captures(10)
        line.s3_link.mode = mode
        if mode == "refuse":
            line.s3_link.reset()
        until(lambda: line.processor.metric(FAILURES) >= 10, 60, "tried in vain")
        line.captures(10)
        line.s3_link.mode = "pass"
        settled(line)


def test_credentials_that_expire_and_come_back(tmp_path: Path) -> None:
    with Iam(life=3.0) as iam, FakeS3() as s3:
        s3.takes = iam.knows
        credentials = {"COS_API_KEY": API_KEY, "COS_AUTH_ENDPOINT": iam.url}
        with Pipeline(tmp_path, fake=s3, credentials=credentials) as line:
            line.captures(10)
            iam.mode = "error"
            until(lambda: line.processor.metric(FAILURES, reason="token") >= 5, 40, "no token")
            line.captures(10)
            iam.mode = "pass"
            line.recovers()
            s3.takes = lambda _: False  # the role is taken away, and given back
            until(lambda: line.processor.metric(FAILURES, reason="denied") >= 5, 40, "no right")
            s3.takes = iam.knows
            settled(line)


@pytest.mark.parametrize("part", ["edge", "cloud", "store"])
def test_a_part_that_is_away_until_all_back_off_is_at_its_longest(
    tmp_path: Path, part: str
) -> None:
    with Pipeline(tmp_path) as line:
        line.captures(10)
        line.kill(part)

        def tries() -> float:
            if part == "store":
                return line.processor.metric(FAILURES) / 14
            return line.forwarder.metric(LOST, broker=part)

        until(lambda: tries() >= 6, 60, "tried in vain")
        line.captures(10)
        line.start(part)
        settled(line)
