"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def count_cpus(root: Path = CGROUP) -> int:
    """CPUs that this process may run on, or fewer if its container's CPU quota is lower.

    Quotas: cgroup v2's cpu.max, v1's cpu.cfs_quota_us (Linux, Documentation/admin-guide).
    """
    allowed = len(os.sched_getaffinity(0))
    share = _quota(root)
    return allowed if share is None else max(1, min(allowed, math.ceil(share)))


def _quota(root: Path) -> float | None:
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
