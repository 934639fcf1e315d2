"""Services that report, and a clock of their own."""

from __future__ import annotations

import pytest

from testing.services.fleet import ReportingFleet


@pytest.fixture
def fleet() -> ReportingFleet:
    return ReportingFleet()
