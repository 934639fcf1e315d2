"""The preview's page in a real browser: Debian's Chromium."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, HttpCredentials, Page, expect

from testing.browser.chromium import DESKTOP, PHONE
from testing.host.wait import free_port, until
from testing.network.pki import Authority
from testing.services.preview import Shown

PASSWORD = "correct horse battery"
BAR = ("capture", "search", "follow", "encode")


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    with Shown() as service:
        yield service


@pytest.fixture
def page(context: BrowserContext, shown: Shown) -> Page:
    return opened(context, shown.at)


def opened(context: BrowserContext, at: str) -> Page:
    """The page, once it shows a picture with faces."""
    page = context.new_page()
    page.goto(at)
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    expect(page.locator("#faces li").first).to_be_visible()
    return page


def pixels(page: Page) -> list[int]:
    """Four values of the picture, far from black if there is one."""
    found: list[int] = page.evaluate(
        "[...document.querySelector('canvas').getContext('2d').getImageData(480, 30, 1, 1).data]"
    )
    return found


def test_it_shows_the_picture_boxes_numbers_and_figures(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("door on jetson-1")
    expect(page.locator("#state-text")).to_have_text(re.compile(r"live, (29|30)\.\d frames"))
    assert min(pixels(page)) > 150
    candidate = page.locator("#faces .candidate")
    expect(candidate).to_have_text("4 haar: 9 of 16")
    assert candidate.evaluate("box => getComputedStyle(box).borderStyle") == "dashed"
    for name in BAR:
        expect(page.get_by_role("row", name=re.compile(f"^{name} [0-9.]+ ms$"))).to_be_visible()
    assert page.locator("#bar i").count() == len(BAR)


def test_boxes_stand_where_the_faces_are(page: Page) -> None:
    """The one who stands still: centre at 1130 of 1920, size 72."""
    stage = page.locator("#stage").bounding_box()
    box = page.locator("#faces .candidate").bounding_box()
    assert stage is not None
    assert box is not None
    scale = stage["width"] / 1920
    assert abs(box["x"] + box["width"] / 2 - stage["x"] - 1130 * scale) < 2
    assert abs(box["width"] - 72 * scale) < 2
    assert abs(stage["height"] - 1080 * scale) < 2


def test_what_was_sent_flashes_and_joins_the_strip(page: Page) -> None:
    expect(page.locator("#faces .sent").first).to_be_visible()
    image = page.locator("#sent img").first
    expect(image).to_be_visible()
    expect(image).to_have_attribute("alt", re.compile("^Face of track [567], "))
    assert image.evaluate("image => image.decode().then(() => image.naturalHeight)") == 160
    expect(page.locator("#none-sent")).to_be_hidden()


def test_the_slider_tells_what_min_face_would_mean(page: Page) -> None:
    slider = page.get_by_role("slider", name="Smallest face")
    expect(slider).to_have_value("0.05")
    expect(page.locator("#setting")).to_have_text("MIN_FACE=0.05")
    expect(page.locator("#now")).to_have_text("Current value: 0.05.")
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#setting")).to_have_text("MIN_FACE=0.08")
    expect(page.locator("#min-face-means")).to_have_text(
        re.compile(r"^86 of 1080 pixels; 1 of \d in view are smaller$")
    )
    stage, square = (page.locator(name).bounding_box() for name in ("#stage", "#smallest"))
    assert stage is not None
    assert square is not None
    assert abs(square["height"] - 0.08 * stage["height"]) < 1
    assert abs(square["width"] - square["height"]) < 1
    page.get_by_label("show").uncheck()
    expect(page.locator("#smallest")).to_be_hidden()


def test_the_setting_can_be_copied(context: BrowserContext, page: Page) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("MIN_FACE=0.05 copied")
    assert page.evaluate("navigator.clipboard.readText()") == "MIN_FACE=0.05"


def test_nobody_looks_while_it_is_paused_or_closed(page: Page, shown: Shown) -> None:
    until(lambda: shown.viewers() == 1)
    pause = page.get_by_role("button", name="Pause")
    pause.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state-text")).to_have_text("paused")
    until(lambda: shown.viewers() == 0)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_attribute("data-state", "live")
    until(lambda: shown.viewers() == 1)
    page.close()
    until(lambda: shown.viewers() == 0)


def test_it_says_plainly_that_there_are_no_frames_or_no_detector(context: BrowserContext) -> None:
    port = free_port()
    with Shown(HTTP_PORT=port) as service:
        page = opened(context, service.at)
        service.signal(signal.SIGUSR1)
        message = page.locator("#message")
        expect(message).to_have_text(re.compile(r"^No frames for [2-9] s\s+camera: silent$"))
        expect(page.get_by_role("status")).to_have_text(re.compile("^No frames for"))
        expect(page.locator("#faces")).to_be_hidden()
        service.signal(signal.SIGUSR1)
        expect(page.locator("#state")).to_have_attribute("data-state", "live")
        expect(message).to_be_empty()
        service.kill()
        expect(page.locator("#state-text")).to_have_text("not connected; trying again")
    with Shown(HTTP_PORT=port):
        expect(page.locator("#state")).to_have_attribute("data-state", "live")


def test_one_viewer_too_many_reads_why(context: BrowserContext) -> None:
    with Shown() as service:
        pages = [opened(context, service.at) for _ in range(4)]
        fifth = context.new_page()
        fifth.goto(service.at)
        expect(fifth.locator("#message")).to_have_text(re.compile("^4 people are watching already"))
        pages[0].close()
        expect(fifth.locator("#state")).to_have_attribute("data-state", "live")


def test_the_policy_lets_it_run_and_nothing_else(context: BrowserContext, shown: Shown) -> None:
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(shown.at)
    expect(page.locator("#sent img").first).to_be_visible()
    assert said == []
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}))"
    )
    page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert page.evaluate("window.ran") is None
    assert len([text for text in said if "Content Security Policy" in text]) >= 2


def test_with_password_and_tls_it_works_the_same(browser: Browser, tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("jetson-1", host="127.0.0.1")
    port = free_port()
    settings: dict[str, Any] = {"HTTP_CERT": own.cert, "HTTP_KEY": own.key}
    settings |= {"PREVIEW_PASSWORD": PASSWORD, "METRICS_PORT": 0, "HTTP_PORT": port}
    credentials: HttpCredentials = {"username": "me", "password": PASSWORD}
    with Shown(HTTP_HOST="0.0.0.0", **settings) as service:
        context = browser.new_context(ignore_https_errors=True, http_credentials=credentials)
        service.says("preview on")
        assert min(pixels(opened(context, f"https://127.0.0.1:{port}/"))) > 150
        context.close()


@pytest.mark.parametrize("look", ["desktop", "dark", "phone"])
def test_it_fits_the_screen(browser: Browser, shown: Shown, tmp_path: Path, look: str) -> None:
    """The pictures that this makes are for people: `--basetemp` keeps them."""
    kinds: dict[str, dict[str, Any]] = {
        "desktop": {"viewport": DESKTOP},
        "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
        "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True},
    }
    context = browser.new_context(**kinds[look])
    page = opened(context, shown.at)
    expect(page.locator("#sent img").first).to_be_visible()
    page.screenshot(path=tmp_path / f"{look}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    assert wide <= 0
    assert (ground == "rgb(18, 22, 20)") == (look == "dark")
