"""CPU time and memory of processes with their children, and statistics of what was measured.

Sources: clock_gettime(2), proc_stat(5), proc_pid_smaps(5).
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

MEBI = 1024 * 1024
_TICK = os.sysconf("SC_CLK_TCK")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the ratios of runs that took turns: what else the machine did changes both."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, all threads, to the nanosecond.

    By its clock (clock_getcpuclockid(3)): /proc/PID/stat counts ticks of 10 ms, some of them lost.

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime(~pid << 3 | 2)


def memory(pid: int) -> float:
    """MiB of a process and its children, shared pages divided among their users (PSS)."""
    total = 0
    for one in [pid, *children(pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1024


def _machine() -> float:
    """Seconds that the cores of this machine were busy, all together."""
    first = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, first)
    return (user + nice + system + irq + softirq + steal) / _TICK


class Meter:
    """What parts use within `with`. Afterwards `seconds`, and by name `cpu` (seconds) and `peaks`
    (MiB, sampled in the background)."""

    def __init__(self, pids: dict[str, int], every: float = 0.25) -> None:
        self._pids = pids
        self._every = every
        self.peaks = dict.fromkeys(pids, 0.0)
        self.cpu: dict[str, float] = {}
        self.seconds = self._busy = self._own = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self.cpu = self._used()
        self.seconds, self._busy, self._own = time.monotonic(), _machine(), time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.cpu = {name: used - self.cpu[name] for name, used in self._used().items()}
        self.seconds = time.monotonic() - self.seconds
        self._busy = _machine() - self._busy
        self._own = time.process_time() - self._own

    def _used(self) -> dict[str, float]:
        used = dict.fromkeys(self._pids, 0.0)
        for name, pid in self._pids.items():
            for one in [pid, *children(pid)]:
                with contextlib.suppress(OSError):  # it has ended
                    used[name] += cpu_seconds(one)
        return used

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            for name, pid in self._pids.items():
                self.peaks[name] = max(self.peaks[name], memory(pid))

    def core(self, part: str) -> float:
        """The share of a core that the busiest of the parts whose names begin so used."""
        return max(s for name, s in self.cpu.items() if name.startswith(part)) / self.seconds

    def cpu_us(self, part: str, faces: int) -> float:
        """Microseconds per face of all parts whose names begin so."""
        used = sum(seconds for name, seconds in self.cpu.items() if name.startswith(part))
        return 1e6 * used / max(1, faces)

    def peak(self, part: str) -> float:
        """MiB of the largest of the parts whose names begin so."""
        return max(peak for name, peak in self.peaks.items() if name.startswith(part))

    def others(self, known: float = 0.0) -> float:
        """Cores that were used by what is not a part; `known` are seconds that are accounted for.

        It should be near nothing: figures are those of a quiet machine.
        """
        parts = sum(self.cpu.values()) + self._own + known
        return max(0.0, self._busy - parts) / self.seconds
