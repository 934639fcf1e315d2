"""CPU time of processes with their children, and of the machine: proc_pid_stat(5), proc_stat(5)."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from bench.memory import children

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """What the process and its children have used, all threads; 0 when it has ended."""
    total = 0
    for one in [pid, *children(pid)]:
        try:
            text = Path(f"/proc/{one}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = text.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


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
        cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
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
