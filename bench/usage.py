"""CPU time of processes with their children, and of the machine: clock_gettime(2), proc_stat(5)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path

from bench.memory import children

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used, all threads, to the nanosecond.

    By its clock (clock_getcpuclockid(3)): /proc/PID/stat counts ticks of 10 ms, some of them lost.

    Raises:
        OSError: there is no such process.
    """
    return time.clock_gettime(~pid << 3 | 2)


def _with_children(pid: int) -> float:
    """What the process and its children have used; nothing of those that have ended."""
    total = 0.0
    for one in [pid, *children(pid)]:
        with contextlib.suppress(OSError):
            total += cpu_seconds(one)
    return total


def machine() -> float:
    """Seconds that the cores of this machine were busy, all together."""
    first = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, first)
    return (user + nice + system + irq + softirq + steal) / _TICK


@dataclasses.dataclass(frozen=True)
class Usage:
    """Of parts, and of who asks, at one moment; the difference of two is what a time has cost."""

    seconds: float
    cpu: dict[str, float]  # seconds
    machine: float  # seconds, of all cores together

    @classmethod
    def now(cls, pids: dict[str, int]) -> Usage:
        cpu = {name: _with_children(pid) for name, pid in pids.items()}
        cpu["bench"] = time.process_time()  # which asks the parts how they are
        return cls(time.monotonic(), cpu, machine())

    def since(self, before: Usage) -> Usage:
        cpu = {name: used - before.cpu[name] for name, used in self.cpu.items()}
        return Usage(self.seconds - before.seconds, cpu, self.machine - before.machine)

    def core(self, *names: str) -> float:
        """The share of one core that these parts used, all together."""
        return sum(self.cpu[name] for name in names) / self.seconds

    @property
    def busy(self) -> float:
        """The share of all cores that was used, by whomever."""
        return self.machine / self.seconds / (os.cpu_count() or 1)

    @property
    def others(self) -> float:
        """Cores that were used by what is no part: it should be near nothing."""
        return max(0.0, self.machine - sum(self.cpu.values())) / self.seconds
