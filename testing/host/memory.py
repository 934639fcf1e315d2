"""What a process has in memory, in bytes, by proc(5)'s status."""

from __future__ import annotations

from pathlib import Path

# As in the containers: what is freed goes back to the system at once.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": 262144}


def resident(pid: int) -> int:
    """Now."""
    return _read(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most that it ever had."""
    return _read(pid, "VmHWM")


def _read(pid: int, line: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition(f"{line}:")[2].split()[0])
