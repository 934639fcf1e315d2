"""Visits in a real browser: one tile for each, whose shots lie side by side once it is opened."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser.gallery import House, close, facts, refs, serious, shown, tiles
from testing.browser.visits import FEW, SHOTS, VISITS, select, stacked, stacks, visit_of, visited


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, now: int) -> Iterator[House]:
    yield from visited(tmp_path_factory.mktemp("visits"), now)


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    yield from stacked(browser, house)


def numbers(page: Page) -> list[int]:
    return [int(text) for text in page.locator(".stack .shots").all_inner_texts()]


def test_each_visit_is_one_tile_with_its_number_of_shots(page: Page) -> None:
    faces = VISITS * SHOTS + FEW * FEW
    assert numbers(page) == [SHOTS] * VISITS + [FEW] * FEW
    counts = f"{faces} faces, {VISITS + FEW} visits"
    expect(page.locator(".day .count")).to_have_text(counts)
    expect(page.locator("h1")).to_have_text(f"Faces {faces} in {VISITS + FEW} visits")
    bar = page.locator(".by-day a").last
    expect(bar).to_have_attribute("aria-label", re.compile(f": {counts}$"))
    hours = [label.get_attribute("aria-label") or "" for label in page.locator(".by-hour a").all()]
    assert sum(int(re.findall(r", (\d+) visits?$", label)[0]) for label in hours) == VISITS + FEW
    assert facts(page, refs(page)[0])["quality"] == 0.9
    assert serious(page) == []


def test_an_opened_visit_shows_its_shots_side_by_side(page: Page) -> None:
    name = visit_of(page, refs(page)[2])
    tiles(page).nth(2).locator("a").click()
    expect(page).to_have_url(re.compile(rf"/\?visit={name}$"))
    expect(tiles(page)).to_have_count(SHOTS)
    expect(page.locator("h1")).to_have_text(f"Visit {SHOTS} shots from entrance, door")
    assert {visit_of(page, ref) for ref in refs(page)} == {name}
    tiles(page).nth(3).locator("a").click()
    assert shown(page) == refs(page)[3]
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer article")).to_have_attribute("data-ref", refs(page)[4])
    expect(page.get_by_role("link", name=f"All {SHOTS} shots of this visit")).to_be_visible()
    close(page)
    page.keyboard.press("Escape")
    expect(stacks(page)).to_have_count(VISITS + FEW)


def test_a_camera_with_less_than_a_screenful_shows_every_shot_unless_asked(page: Page) -> None:
    page.get_by_label("Camera").select_option("lobby")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text(", lobby")
    expect(tiles(page)).to_have_count(FEW * FEW)
    assert page.url.endswith("/?camera=lobby")
    page.get_by_label("Shots").select_option("visit")
    page.get_by_role("button", name="Show").click()
    expect(tiles(page)).to_have_count(FEW)
    page.get_by_label("Camera").select_option("door")
    page.get_by_label("Shots").select_option("all")
    page.get_by_role("button", name="Show").click()
    expect(stacks(page)).to_have_count(0)
    assert tiles(page).count() > VISITS


def test_visits_can_be_sorted_by_sharpness(page: Page) -> None:
    page.get_by_label("Sort").select_option("sharpest")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("order=sharpest"))
    expect(stacks(page)).to_have_count(VISITS + FEW)
    found = [facts(page, ref)["sharpness"] for ref in refs(page)[:4]]
    assert found == [90.0] * 4


def test_keys_go_from_visit_to_visit_and_open_and_select_one(page: Page) -> None:
    order = refs(page)
    tiles(page).first.locator("a").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(f'[data-ref="{order[1]}"] a')).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("#how-many")).to_have_text(f"1 visit ({SHOTS} faces) selected")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Visit")
    expect(tiles(page)).to_have_count(SHOTS)


def test_selected_visits_are_downloaded_with_all_their_shots(page: Page, tmp_path: Path) -> None:
    chosen = {visit_of(page, ref) for ref in refs(page)[1:3]}
    select(page, 1, 2)
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download zip").click()
    waited.value.save_as(tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        told = [json.loads(line) for line in archive.read("facts.jsonl").splitlines()]
    assert len(told) == 2 * SHOTS
    assert len({one["metadata"]["track"] for one in told}) == len(chosen) == 2


def test_a_day_or_a_visit_that_is_selected_whole_has_all_its_faces(page: Page) -> None:
    page.get_by_role("button", name="Select day").click()
    faces = VISITS * SHOTS + FEW * FEW
    expect(page.locator("#how-many")).to_have_text(
        f"{VISITS + FEW} visits ({faces} faces) selected"
    )
    page.keyboard.press("Escape")
    tiles(page).first.locator("a").click()
    expect(tiles(page)).to_have_count(SHOTS)
    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("button", name=f"Select all {SHOTS} faces").click()
    expect(page.locator("#how-many")).to_have_text(re.compile(f"^{SHOTS} faces: "))
    page.locator("#bar").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog", name=f"Delete {SHOTS} faces?")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
