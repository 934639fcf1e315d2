"""A server of canned answers; buckets are closed after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.store.canned import Canned
from testing.store.s3 import BUCKETS


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while BUCKETS:
        BUCKETS.pop().close()


@pytest.fixture
def canned() -> Iterator[Canned]:
    with Canned() as server:
        yield server
