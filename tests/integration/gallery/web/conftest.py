"""Faces in a gallery, a browser, and a page in it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.chromium import chromium
from testing.browser.gallery import DAY, DEVICES, FACES, House, housed, listened, visit
from testing.store.filled import many


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def now() -> int:
    """The end of yesterday (UTC, unix milliseconds): whatever the time is, that day is full."""
    return int(time.time() * 1000) // DAY * DAY - 1000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, now: int) -> Iterator[House]:
    """5,000 faces of 25 days."""
    objects = many(FACES, now - 60_000, DEVICES, days=25)
    folder = tmp_path_factory.mktemp("house")
    yield from housed(folder, objects, RETENTION_DAYS=30)


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """The page of faces; whatever it complains of fails the test."""
    context = house.reader(browser)
    page, said = listened(context)
    visit(page, house.at)
    expect(page.locator(".tile").first).to_be_visible()
    yield page
    context.close()
    assert said == []
