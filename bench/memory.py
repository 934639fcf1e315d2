"""Peak memory of a process with its children, sampled from /proc (proc_pid_smaps(5))."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


def proportional(pid: int) -> int:
    """Bytes of the process and its children now, shared pages divided among their users (PSS)."""
    total = 0
    for one in [pid, *children(pid)]:
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


class Sampler:
    """Looks again and again in the background, within `with`."""

    def __init__(self, every: float = 0.1) -> None:
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _look(self) -> None:
        raise NotImplementedError

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            self._look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()


class Peaks(Sampler):
    """Samples several processes; `peaks` has bytes by name."""

    def __init__(self, pids: dict[str, int], every: float = 0.1) -> None:
        super().__init__(every)
        self.peaks = dict.fromkeys(pids, 0)
        self._pids = pids

    def _look(self) -> None:
        for name, pid in self._pids.items():
            self.peaks[name] = max(self.peaks[name], proportional(pid))
