"""How long what was stored may be looked at."""

from __future__ import annotations

import time

import pytest

from gallery.deletion.retention import DAY, HOUR, RetentionState


@pytest.mark.parametrize(
    ("days", "hours", "age", "least", "most"),
    [
        (0, 1.0, 0, 3590, 3600),
        (0, 1.0, HOUR, 0, 0),
        (30, 1.0, 0, 3590, 3600),
        (2, 0.0, DAY, 86_390, 2 * 86_400),  # a rule is due at the midnight after
        (2, 0.0, 3 * DAY, 0, 0),
    ],
)
def test_what_is_stored_may_be_looked_at_as_long_as_it_is_kept(
    days: int, hours: float, age: int, least: int, most: int
) -> None:
    left = RetentionState(days, hours).left(time.time_ns() // 1_000_000 - age)
    assert left is not None
    assert least <= left <= most


def test_without_retention_it_may_be_looked_at_for_good() -> None:
    assert RetentionState(0, 0.0).left(0) is None
