"""How old a face is, whatever the clock of the box does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from common.protocol import clock
from detector.outbox import age

ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"
DAY = 86_400.0


def test_within_a_boot_the_clock_does_not_matter() -> None:
    for wall in (0.0, time.time(), time.time() + 50 * 365 * DAY):
        assert age.age_of(age.BOOT, age.monotonic_seconds() - 100, wall) == pytest.approx(
            100, abs=5
        )


def test_across_boots_age_is_between_two_times_of_a_set_clock() -> None:
    # Ticks of another boot say nothing.
    for ticks in (0.0, age.monotonic_seconds(), 1e9):
        assert age.age_of(ANOTHER_BOOT, ticks, time.time() - DAY) == pytest.approx(DAY, abs=5)


def test_a_face_from_before_the_clock_was_set_is_not_decades_old() -> None:
    """Setting the clock of a box that booted in 1970 must not drop all that waits."""
    known = age.age_of(ANOTHER_BOOT, 5.0, wall=60.0)
    assert 0 <= known < time.clock_gettime(time.CLOCK_BOOTTIME)
    assert known < 3600


def test_a_face_from_the_future_is_new() -> None:
    assert age.age_of(ANOTHER_BOOT, 5.0, time.time() + DAY) == 0.0


def test_the_shift_of_a_clock_that_was_set_gives_the_true_time_of_capture() -> None:
    now = time.time()
    shift = age.clock_shift(age.BOOT, age.monotonic_seconds() - 30, wall=1000.0)
    assert shift is not None
    assert 1000.0 + shift == pytest.approx(now - 30, abs=5)
    assert age.clock_shift(age.BOOT, age.monotonic_seconds(), wall=now) == pytest.approx(0.0, abs=5)


def test_no_shift_is_known_across_boots() -> None:
    assert age.clock_shift(ANOTHER_BOOT, 5.0, wall=1000.0) is None


def test_the_boot_is_the_kernels() -> None:
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() == age.BOOT
    assert age.monotonic_seconds() <= age.monotonic_seconds()


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(-1.0, "unset"), (0.0, "unset"), (1_600_000_000.0, "unset"), (1_772_366_400.0, "set")],
)
def test_a_time_is_believed_from_the_year_2024_on(seconds: float, state: str) -> None:
    assert clock.judge_clock(seconds) == state
