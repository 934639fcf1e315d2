"""Processors that a container really has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.runtime import cpus

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "count"),
    [("max 100000", ALL), ("50000 100000", 1), ("100000 100000", 1), ("6400000 100000", ALL)],
)
def test_a_quota_of_cgroup_v2_bounds_them(tmp_path: Path, quota: str, count: int) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert cpus.count_cpus(tmp_path) == count


@pytest.mark.parametrize(("quota", "count"), [("-1", ALL), ("50000", 1), ("6400000", ALL)])
def test_a_quota_of_cgroup_v1_bounds_them(tmp_path: Path, quota: str, count: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus.count_cpus(tmp_path) == count


def test_without_control_groups_they_are_those_that_it_may_run_on(tmp_path: Path) -> None:
    assert cpus.count_cpus(tmp_path) == ALL
