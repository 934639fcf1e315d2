"""How much may be under way, and for how long: the numbers of RFC 5681 and RFC 6298."""

from __future__ import annotations

import pytest

from detector.delivery.congestion import (
    INITIAL_TIMEOUT,
    LARGEST,
    LEAST_TIMEOUT,
    LONGEST_TIMEOUT,
    QUEUEING,
    START,
    STEP,
    CongestionWindow,
)


def test_the_first_round_trip_sets_the_time_out_as_rfc_6298_says() -> None:
    window = CongestionWindow(8)
    assert window.timeout == INITIAL_TIMEOUT
    window.on_receipt(1000, 0.8)
    assert window.round_trip == 0.8
    assert window.timeout == pytest.approx(0.8 + 4 * 0.4)  # 2.2: SRTT = R, RTTVAR = R/2


def test_later_round_trips_smooth_it_by_an_eighth_and_a_quarter() -> None:
    window = CongestionWindow(8)
    window.on_receipt(1000, 2.0)
    window.on_receipt(1000, 1.0)
    assert window.round_trip == pytest.approx(2.0 * 7 / 8 + 1.0 / 8)  # 2.3
    assert window.timeout == pytest.approx(1.875 + 4 * (1.0 * 3 / 4 + abs(2.0 - 1.0) / 4))


@pytest.mark.parametrize("trip", [0.05, 0.5, 2.0])
def test_a_round_trip_that_stays_the_same_never_times_out(trip: float) -> None:
    """Also where every fifth receipt takes a quarter longer."""
    window = CongestionWindow(8)
    for number in range(200):
        took = trip * (1.25 if number % 5 == 4 else 1.0)
        assert took < window.timeout
        window.on_receipt(20_000, took)


def test_the_time_out_has_a_least_and_a_longest() -> None:
    window = CongestionWindow(8)
    window.on_receipt(1000, 0.001)
    assert window.timeout == LEAST_TIMEOUT
    window.on_receipt(1000, 60.0)
    assert window.timeout == LONGEST_TIMEOUT


def test_a_face_sent_twice_measures_nothing() -> None:
    window = CongestionWindow(8)
    window.on_receipt(1000, None)
    assert window.round_trip is None
    assert window.timeout == INITIAL_TIMEOUT
    assert window.bytes > START  # but something got through


def test_each_time_out_doubles_the_next_up_to_the_cap() -> None:
    window, now, seen = CongestionWindow(8), 100.0, []
    for _ in range(5):
        now += window.timeout
        window.on_timeout(now)
        seen.append(window.timeout)
    assert seen == [6.0, 12.0, LONGEST_TIMEOUT, LONGEST_TIMEOUT, LONGEST_TIMEOUT]


def test_faces_that_time_out_together_count_as_one_loss() -> None:
    window = CongestionWindow(8)
    for _ in range(10):
        window.on_timeout(100.0)
    assert window.bytes == START // 2
    assert window.timeout == 2 * INITIAL_TIMEOUT


def test_slow_start_doubles_in_a_round_trip_and_later_growth_is_a_step() -> None:
    window = CongestionWindow(1000)
    for _ in range(START // 4096):
        window.on_receipt(4096, 0.1)
    assert window.bytes == 2 * START
    window.on_timeout(100.0)
    assert window.bytes == START
    for _ in range(START // 4096):
        window.on_receipt(4096, 0.1)
    assert START + 0.8 * STEP < window.bytes <= START + STEP


def test_the_window_never_leaves_its_bounds() -> None:
    window, now = CongestionWindow(1000), 0.0
    for _ in range(30):
        now += 100.0
        window.on_timeout(now)
    assert window.bytes == STEP
    for _ in range(200_000):
        window.on_receipt(2_000_000, 0.01)
    assert window.bytes == LARGEST


def test_a_round_trip_that_is_all_queue_makes_no_more_room() -> None:
    window = CongestionWindow(1000)
    window.on_receipt(4096, QUEUEING + 0.1)
    assert window.bytes == START


def test_both_faces_and_bytes_bound_what_is_under_way_and_one_face_always_may() -> None:
    window = CongestionWindow(2)
    assert window.admits(0, 0, 10 * START)
    assert window.admits(1, START // 2, START // 2)
    assert window.admits(1, START // 2, START)  # the other one may never be answered
    assert not window.admits(2, START // 2, START)
    assert not window.admits(2, 0, 1)
