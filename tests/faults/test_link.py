"""The link to the cloud is cut, swallows, is slow or far, or alters: no face is lost or doubled."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.services.pipeline import DEVICE, LARGE, Pipeline, check

LOST = "facepipe_mqtt_failures_total"
MISMATCHED = "facepipe_detector_receipts_mismatched_total"
ROUND_TRIP = "facepipe_detector_round_trip_seconds"
IEND = b"IEND\xaeB\x60\x82"  # how every PNG ends


def test_cut_by_resets_again_and_again(tmp_path: Path, dice: random.Random) -> None:
    with Pipeline(tmp_path) as line:
        for _ in range(8):
            line.captures(dice.randint(1, 15))
            line.wan.reset()
        line.recovers()
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)


@pytest.mark.parametrize("mode", ["hole", "refuse"])
def test_away_until_all_back_off_is_at_its_longest(tmp_path: Path, mode: str) -> None:
    """Silence is noticed; and after a long outage the first face is there within 35 s."""
    with Pipeline(tmp_path) as line:
        line.captures(10)
        line.wan.mode = mode
        if mode == "refuse":
            line.wan.reset()
        until(lambda: line.forwarder.metric(LOST, broker="cloud") >= 1, 25, "the cut is noticed")
        until(lambda: line.forwarder.metric(LOST, broker="cloud") >= 5, 60, "tried in vain")
        line.captures(10)
        line.wan.mode = "pass"
        line.recovers()
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)


@pytest.mark.timeout(240)
def test_a_link_of_64_kbit_per_second_makes_progress_with_few_copies(tmp_path: Path) -> None:
    with Pipeline(tmp_path, size=LARGE, fps=2.0) as line:
        line.wan.rate = 64_000 / 8
        before = line.wan.passed
        line.captures(10)
        line.leave()
        sent = sum(line.record.copies.values())
        found = line.settles(150)
        assert line.record.largest > 20_000
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)
        size = sum(len(body) for _, body in line.objects())
        assert line.wan.passed - before < 1.5 * size
        assert sent <= sum(line.record.copies.values()) <= 2 * found["captured"]


def test_over_a_round_trip_of_500_ms_each_face_arrives_once(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as line:
        line.wan.lag = 0.25
        line.captures(60)
        assert line.detector.metric(ROUND_TRIP) > 0.4
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)
        # How few copies that takes is told by the time-out (tests/unit/detector/delivery): here a
        # machine at work on other things may be late, too. No face is sent over and over.
        copies = sum(line.record.copies.values()) - len(line.record.digests)
        assert copies <= found["captured"]


def test_faces_that_are_altered_on_the_way_get_another_digest_and_come_again(
    tmp_path: Path,
) -> None:
    with Pipeline(tmp_path) as line:
        altering = True
        spoilt = IEND[:-1] + b"?"
        line.wan.upward = lambda: lambda data: data.replace(IEND, spoilt) if altering else data
        line.wan.reset()
        until(lambda: line.detector.metric(MISMATCHED) >= 10, 40, "receipts of altered faces")
        assert line.store.objects("rejected/")
        altering = False
        line.recovers()
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)


def test_receipts_with_another_digest_confirm_nothing(tmp_path: Path) -> None:
    with Pipeline(tmp_path) as line, Mqtt(line.edge_port) as liar:
        line.kill("processor")
        line.captures(15)
        until(lambda: line.books()["waiting"] >= 10, what="receipts are missing")
        confirmed = line.books()["confirmed"]
        for id in list(line.record.digests):
            lie = f'{{"id": "{id}", "sha256": "{"0" * 64}", "outcome": "stored", "key": "k"}}'
            liar.publish(f"faces/receipts/{DEVICE}", lie.encode())
        until(lambda: line.detector.metric(MISMATCHED) >= 10, what="lies are seen")
        assert line.books()["confirmed"] == confirmed
        line.start("processor")
        line.recovers()
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)
