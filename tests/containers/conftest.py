"""One engine, one set of images and one running stack for all tests that need them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import engine
from tests.containers.stack import Stack


@pytest.fixture(scope="session")
def docker() -> Iterator[None]:
    with engine.compose_at_hand(), engine.engine():
        yield


@pytest.fixture(scope="session")
def images(docker: None) -> None:
    """facepipe/<part>:latest, of the sources as they are here."""
    engine.have_base()
    engine.make_images()


@pytest.fixture(scope="session")
def stack(
    images: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """Both projects, healthy, the clip played once. If a test fails, the logs are shown."""
    folder: Path = tmp_path_factory.mktemp("stack")
    before = request.session.testsfailed
    with Stack(folder) as running:
        yield running
        if request.session.testsfailed > before:
            running.show()
