"""The preview of several cameras: all small, one large."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from testing.browser.chromium import PHONE
from testing.clips.clips import decode
from testing.host.wait import until
from testing.services.detector import write_cameras
from testing.services.preview import Shown, Viewer, get, read_parts

NAMES = ["door", "hall", "yard"]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    tables = {name: {"source": number, "min_face": 0.1} for number, name in enumerate(NAMES)}
    path = write_cameras(tmp_path, tables)
    with Shown(CAMERA_NAME="", CAMERAS=path) as service:
        yield service


def opened(context: BrowserContext, at: str) -> Page:
    page = context.new_page()
    page.goto(at)
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    return page


def test_a_viewer_gets_the_camera_that_it_asks_for_or_the_first(shown: Shown) -> None:
    for path, name in (("/live", "door"), ("/live?camera=yard", "yard")):
        with Viewer(shown, path) as viewer:
            hello, _ = viewer.next("hello")
            assert (hello["camera"], hello["cameras"]) == (name, NAMES)
            assert hello["min_face"] == 0.1
            viewer.next("frame")
    assert get(shown, "/live?camera=cellar")[0] == 404


def test_all_cameras_come_small_with_their_state(shown: Shown) -> None:
    def glance() -> list[bytes]:
        found = read_parts(get(shown, "/cameras")[2])
        assert [facts["camera"] for facts, _ in found] == NAMES
        return [jpeg for _, jpeg in found if jpeg]

    pictures = until(lambda: pictures if len(pictures := glance()) == len(NAMES) else None)
    assert {decode(jpeg).shape for jpeg in pictures} == {(135, 240, 3)}
    shown.signal(signal.SIGUSR1)  # no more frames

    def reasons() -> list[dict[str, str]]:
        return [facts["reasons"] for facts, _ in read_parts(get(shown, "/cameras")[2])]

    until(lambda: reasons() == [{"camera": "silent"}] * len(NAMES))


def test_while_nobody_looks_at_all_of_them_no_small_picture_is_made(shown: Shown) -> None:
    (facts, jpeg), *_ = read_parts(get(shown, "/cameras")[2])
    assert (facts["kind"], jpeg) == ("small", b"")


def test_the_page_shows_all_and_the_one_that_is_chosen_large(
    context: BrowserContext, shown: Shown
) -> None:
    page = opened(context, shown.at)
    cameras = page.get_by_role("navigation", name="Cameras").get_by_role("button")
    expect(cameras).to_have_count(3)
    expect(page.get_by_role("heading", level=1)).to_have_text("door on jetson-1")
    expect(cameras.first).to_have_attribute("aria-current", "true")
    for index in range(3):
        expect(cameras.nth(index)).to_have_text(re.compile(f"^{NAMES[index]}.*live$"))
        expect(cameras.nth(index).locator("img")).to_have_js_property("naturalWidth", 240)
    cameras.nth(2).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("yard on jetson-1")
    expect(cameras.nth(2)).to_have_attribute("aria-current", "true")
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    expect(page.locator("#setting")).to_have_text("min_face = 0.1")
    assert page.url.endswith("#yard")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("yard on jetson-1")


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, shown: Shown) -> None:
    context = browser.new_context(viewport=PHONE)
    page = opened(context, shown.at)
    expect(page.get_by_role("navigation", name="Cameras")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
