"""An enrolment with one device, and the broker that goes by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.services.enrolment import CloudBroker, Enrolment, running


@pytest.fixture
def enrolment(tmp_path: Path) -> Enrolment:
    return Enrolment(tmp_path)


@pytest.fixture
def device(enrolment: Enrolment) -> Path:
    return enrolment.enrol("jetson-1")


@pytest.fixture
def cloud(enrolment: Enrolment, device: Path) -> Iterator[CloudBroker]:
    with running(enrolment) as broker:
        yield broker
