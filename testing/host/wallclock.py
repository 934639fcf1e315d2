"""A wall clock of its own for a service's processes, to be set while they run.

Monotonic time is left alone. (libfaketime 0.9.10 shifts the absolute monotonic deadlines of
clock_nanosleep too, by which Python sleeps: each sleep fails or lasts for years.)
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_SHIM = """
import time
_real, _real_ns = time.time, time.time_ns

def _shift():
    with open({path!r}) as file:
        return float(file.read())

time.time = lambda: _real() + _shift()
time.time_ns = lambda: _real_ns() + int(_shift() * 1e9)
"""


def inherited() -> dict[str, str]:
    """What concerns all processes of a run: its time of day (tests/clocked), and its coverage."""
    names = ("LD_PRELOAD", "WALL_CLOCK_SHIFT", "COVERAGE_PROCESS_CONFIG")
    return {name: os.environ[name] for name in names if name in os.environ}


class WallClock:
    """`Service(..., **clock.env)` lives by it."""

    def __init__(self, folder: Path) -> None:
        modules = folder / "clock"
        modules.mkdir()
        self._file = folder / "clock-shift"
        (modules / "sitecustomize.py").write_text(_SHIM.format(path=str(self._file)))
        self.env = {"PYTHONPATH": str(modules)}
        self.shift(0.0)

    def shift(self, seconds: float) -> None:
        """Show the true time and `seconds`."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)

    def boots_in_1970(self) -> None:
        self.shift(60 - time.time())
