"""For everybody: no serious fault by axe, light pages, and screens of all sizes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.chromium import PHONE
from testing.browser.gallery import HEAVIEST, House, refs, serious, shown, tiles, visit


@pytest.mark.parametrize(
    "path", ["/", "/?order=sharpest", "/face", "/fleet", "/deletions", "/nowhere"]
)
def test_axe_finds_no_serious_fault(page: Page, house: House, path: str) -> None:
    if path == "/face":
        path = f"/face/{refs(page)[0]}"
    elif path == "/nowhere":
        page = page.context.new_page()  # which may complain
    visit(page, house.at + path)
    expect(page.locator("h1")).to_be_attached()
    assert serious(page) == []


def test_axe_finds_no_serious_fault_in_the_viewer_and_the_question(page: Page) -> None:
    tiles(page).first.locator("a").click()
    shown(page)
    assert serious(page) == []
    page.locator("#viewer").get_by_role("button", name="Delete").click()
    expect(page.locator("#confirm")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Cancel").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Select", exact=True).click()
    assert serious(page) == []


def test_a_page_is_light(page: Page) -> None:
    """All that is no picture, uncompressed: page, style, scripts, the days."""
    weights: dict[str, int] = page.evaluate(
        """() => Object.fromEntries(
            ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
            .filter(one => !/\\/(thumb|image)\\//.test(one.name))
            .map(one => [one.name, one.decodedBodySize]))"""
    )
    assert sum(weights.values()) < HEAVIEST * 3 / 4, weights


@pytest.mark.parametrize("look", ["desktop", "dark", "phone"])
def test_it_fits_the_screen(browser: Browser, house: House, tmp_path: Path, look: str) -> None:
    """The pictures that this makes are for people: in SCREENSHOTS, or where `--basetemp` says."""
    kinds: dict[str, dict[str, Any]] = {
        "desktop": {},
        "dark": {"color_scheme": "dark"},
        "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True},
    }
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    context = house.reader(browser, **kinds[look])
    page = context.new_page()
    visit(page, house.at)
    expect(page.locator("#timeline svg").first).to_be_visible()
    decode = (
        "Promise.all([...document.images].slice(0, 40).map(image => image.decode().catch(() => 0)))"
    )
    page.evaluate(decode)
    page.screenshot(path=folder / f"faces-{look}.png")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 22, 20)") == (look == "dark")
    tiles(page).nth(4).locator("a").click()
    shown(page)
    page.screenshot(path=folder / f"face-{look}.png")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Select", exact=True).click()
    tiles(page).nth(1).locator("a").click()
    tiles(page).nth(6).locator("a").click(modifiers=["Shift"])
    page.locator("#bar").get_by_role("button", name="Delete").click()
    expect(page.locator("#confirm")).to_be_visible()
    page.screenshot(path=folder / f"delete-{look}.png")
    context.close()
