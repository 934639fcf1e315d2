"""How old a waiting face is, whatever the box's clock does.

A Jetson has no battery: its clock may show 1970 at boot, and jump by decades when it is set. Within
a boot, age is measured by CLOCK_BOOTTIME (clock_gettime(2)), which nobody can set; across boots,
only between two times of a clock that was set.
"""

from __future__ import annotations

import time
from pathlib import Path

from common.protocol import clock

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
_LOADED = time.clock_gettime(time.CLOCK_BOOTTIME)


def monotonic_seconds() -> float:
    """Seconds since boot, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def age_of(boot: str, then: float, wall: float) -> float:
    """Seconds since a moment, which was `then` seconds after that boot, and `wall` by the clock.

    If that is unknown, seconds since this process started: rather too young than too old.
    """
    if boot == BOOT:
        return monotonic_seconds() - then
    now = time.time()
    if clock.judge_clock(wall) == "set" and clock.judge_clock(now) == "set":
        return max(0.0, now - wall)
    return monotonic_seconds() - _LOADED


def clock_shift(boot: str, then: float, wall: float) -> float | None:
    """Seconds by which the clock was set since a moment (see `age_of`); None if unknown."""
    now = time.time()
    if boot != BOOT or clock.judge_clock(now) != "set":
        return None
    return (now - monotonic_seconds()) - (wall - then)
