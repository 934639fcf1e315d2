"""Peaks of memory and processes of containers, from their control groups (cgroups(7)).

With version 2, and with version 1, where the kernel gives each controller a tree of its own.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

from bench.memory import Sampler

ROOT = Path("/sys/fs/cgroup")


@dataclasses.dataclass
class Peak:
    limit: int = 0  # bytes
    pids_limit: int = 0
    held: int = 0  # bytes without the page cache of files, which the kernel takes back at need
    charged: int = 0  # bytes with it, by the kernel's own high-water mark
    pids: int = 0  # processes and threads


@dataclasses.dataclass(frozen=True)
class Group:
    """The files of one container's control group."""

    memory: Path
    pids: Path
    version: int

    def limits(self) -> Peak:
        name = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        return Peak(_number(self.memory / name), _number(self.pids / "pids.max"))

    def look(self, peak: Peak) -> None:
        """Raise `peak` to what is there now.

        Raises:
            OSError: it is gone.
        """
        if self.version == 2:
            now, high, files = "memory.current", "memory.peak", r"^(?:in)?active_file (\d+)"
        else:
            now, high = "memory.usage_in_bytes", "memory.max_usage_in_bytes"
            files = r"^total_(?:in)?active_file (\d+)"
        stat = (self.memory / "memory.stat").read_text()
        cache = sum(map(int, re.findall(files, stat, re.MULTILINE)))
        peak.held = max(peak.held, _number(self.memory / now) - cache)
        peak.charged = max(peak.charged, _number(self.memory / high))
        peak.pids = max(peak.pids, _number(self.pids / "pids.current"))


def _number(file: Path) -> int:
    text = file.read_text().strip()
    return sys.maxsize if text == "max" else int(text)


def group(pid: int) -> Group:
    """Of a process, by its id on this machine.

    Raises:
        OSError: there is no such process.
    """
    paths: dict[str, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    if "memory" in paths:
        return Group(ROOT / "memory" / paths["memory"], ROOT / "pids" / paths["pids"], 1)
    return Group(ROOT / paths[""], ROOT / paths[""], 2)


class Peaks(Sampler):
    """Samples containers; `peaks` has what was found, by name."""

    def __init__(self, every: float = 0.1) -> None:
        super().__init__(every)
        self.peaks: dict[str, Peak] = {}
        self._groups: dict[str, Group] = {}

    def add(self, name: str, pid: int) -> None:
        """From now on look at the container that this process is in, also when it is restarted."""
        found = group(pid)
        self.peaks[name] = found.limits()
        self._groups = {**self._groups, name: found}

    def _look(self) -> None:
        for name, one in self._groups.items():
            try:
                one.look(self.peaks[name])
            except OSError:
                continue  # it is stopped, or has ended
