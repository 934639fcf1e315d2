"""One face in a real browser: the viewer, its keys, links and downloads."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.chromium import PHONE
from testing.browser.gallery import House, facts, listened, refs, shown, tiles, visit


def test_a_click_opens_a_face_and_keys_lead_on_and_back(page: Page) -> None:
    order = refs(page)
    tiles(page).nth(3).locator("a").click()
    assert shown(page) == order[3]
    assert urllib.parse.urlsplit(page.url).path == f"/face/{order[3]}"
    told = page.locator("#viewer dl").first
    for name in ("Device", "Camera", "Captured", "Size", "Score", "Sharpness", "Key"):
        expect(told.get_by_text(name, exact=True)).to_be_visible()
    expect(told).to_contain_text(re.compile(r"CES?T|GMT[+-]\d+"))
    image = page.locator("#viewer .whole")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") in (
        96,
        128,
        160,
    )
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer article")).to_have_attribute("data-ref", order[4])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer article")).to_have_attribute("data-ref", order[2])
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    assert urllib.parse.urlsplit(page.url).path == "/"
    expect(tiles(page).nth(2).locator("a")).to_be_focused()


def test_keys_lead_beyond_what_was_loaded(page: Page) -> None:
    last = refs(page)[-1]
    tiles(page).last.locator("a").click()
    seen = {shown(page), last}
    for _ in range(5):
        before = shown(page)
        page.keyboard.press("ArrowRight")
        expect(page.locator("#viewer article")).not_to_have_attribute("data-ref", before)
        seen.add(shown(page))
    assert len(seen) >= 6


def test_back_closes_the_viewer_and_the_close_button_too(page: Page) -> None:
    tiles(page).nth(1).locator("a").click()
    shown(page)
    page.go_back()
    expect(page.locator("#viewer")).to_be_hidden()
    tiles(page).nth(1).locator("a").click()
    shown(page)
    page.get_by_role("link", name="Close").click()
    expect(page.locator("#viewer")).to_be_hidden()
    assert urllib.parse.urlsplit(page.url).path == "/"


def test_a_swipe_leads_on(browser: Browser, house: House) -> None:
    context = house.reader(browser, viewport=PHONE, is_mobile=True, has_touch=True)
    page, said = listened(context)
    visit(page, house.at)
    order = refs(page)
    tiles(page).nth(2).locator("a").tap()
    shown(page)
    touch = context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": 300, "y": 300}]),
        ("touchMove", [{"x": 180, "y": 304}]),
        ("touchMove", [{"x": 90, "y": 306}]),
        ("touchEnd", []),
    ):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(page.locator("#viewer article")).to_have_attribute("data-ref", order[3])
    context.close()
    assert said == []


def test_a_link_can_be_copied_and_shows_the_same_face(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tiles(page).nth(5).locator("a").click()
    ref = shown(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    visit(page, link)
    expect(page.locator("main article.face")).to_have_attribute("data-ref", ref)
    page.keyboard.press("ArrowRight")
    expect(page.locator("main article.face")).not_to_have_attribute("data-ref", ref)
    page.wait_for_load_state()  # the page is there before its script listens to keys
    page.keyboard.press("Escape")
    expect(tiles(page).first).to_be_visible()


def test_a_face_can_be_downloaded_as_it_is(page: Page, house: House, tmp_path: Path) -> None:
    tiles(page).nth(4).locator("a").click()
    ref = shown(page)
    with page.expect_download() as waited:
        page.get_by_role("link", name="Download").click()
    assert re.fullmatch(
        r"[a-z-]+_[a-z0-9-]+_[0-9_-]+_[0-9a-f]{6}\.png", waited.value.suggested_filename
    )
    waited.value.save_as(tmp_path / "face.png")
    original = house.store.bucket / facts(page, ref)["key"]
    assert (tmp_path / "face.png").read_bytes() == original.read_bytes()
