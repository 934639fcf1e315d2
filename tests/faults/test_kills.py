"""kill -9 of any part, alone and in pairs, during capture: no face is lost or doubled."""

from __future__ import annotations

import itertools
import random
import signal
from pathlib import Path

import pytest

from testing.services.pipeline import Pipeline, check
from tests.faults.conftest import ALL, SEED

PARTS = ("detector", "forwarder", "processor", "edge", "cloud", "store")
PAIRS = list(itertools.combinations(PARTS, 2))
RECEIVED = "facepipe_processor_faces_received_total"
SAMPLE = 5  # of the 15 pairs


def sampled() -> list[tuple[str, ...]]:
    pairs = PAIRS if ALL else sorted(random.Random(SEED).sample(PAIRS, SAMPLE))
    return [*((part,) for part in PARTS), *pairs]


@pytest.mark.parametrize("victims", sampled(), ids="+".join)
def test_whatever_is_killed_every_face_arrives_once(
    tmp_path: Path, dice: random.Random, victims: tuple[str, ...]
) -> None:
    with Pipeline(tmp_path) as line:
        line.captures(dice.randint(5, 40))
        for _ in range(2):
            line.kill(*dice.sample(victims, len(victims)))
            for name in dice.sample(victims, len(victims)):
                if line.detector.running:
                    line.captures(dice.randint(5, 40))
                line.start(name)
            line.recovers()
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)


def test_a_processor_that_hangs_beside_another_costs_time_only(tmp_path: Path) -> None:
    """The broker hands it its share of the faces until it finds out."""
    with Pipeline(tmp_path) as line, line.another_processor() as second:
        line.captures(20)
        second.signal(signal.SIGSTOP)
        received = line.processor.metric(RECEIVED)
        line.captures(40)
        line.recovers()
        assert line.processor.metric(RECEIVED) > received
        found = line.settles()
        assert (found["dropped"], found["rejected"]) == (0, 0)
        check(line, found)
