"""A guarded app, and browsers of nobody, of an admin and of a viewer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.services.guarded import OTHER, PASSWORD, USERS, Browser, Guarded, signed_in


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, USERS) as served:
        yield served


@pytest.fixture
def browser(app: Guarded) -> Browser:
    return Browser(app)


@pytest.fixture
def ada(app: Guarded) -> Browser:
    return signed_in(app, "ada", PASSWORD)


@pytest.fixture
def vic(app: Guarded) -> Browser:
    return signed_in(app, "vic", OTHER)
