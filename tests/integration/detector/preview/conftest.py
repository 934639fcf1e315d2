"""Pages of a preview, and a browser that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from testing.browser.chromium import DESKTOP, chromium
from testing.host.wait import free_port
from testing.services.preview import NAME, PASSWORD, Shown


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=DESKTOP)
    yield made
    made.close()


@pytest.fixture
def page() -> Iterator[Shown]:
    with Shown() as shown:
        yield shown


@pytest.fixture
def guarded() -> Iterator[Shown]:
    """As in a container whose port is published on the host's loopback."""
    port = free_port()
    settings = {"HTTP_HOST": "0.0.0.0", "HTTP_PUBLISHED": "127.0.0.1", "METRICS_PORT": 0}
    settings |= {"HTTP_NAMES": NAME}
    with Shown(HTTP_PORT=port, PREVIEW_PASSWORD=PASSWORD, **settings) as shown:
        yield shown
