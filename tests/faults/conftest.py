"""Which pairs of faults run: a sample by a seed that is printed, or all of them with ALL=1."""

from __future__ import annotations

import os
import random

import pytest

SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))
ALL = os.environ.get("ALL", "") not in ("", "0")


def pytest_report_header() -> str:
    return f"faults: seed {SEED} (set FAULTS_SEED to repeat it){', every pair' if ALL else ''}"


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Chance that is the same for a test whenever the seed is."""
    return random.Random(f"{SEED} {request.node.name}")
