"""Selecting, deleting and downloading faces in a real browser."""

from __future__ import annotations

import datetime
import json
import re
import zipfile
import zoneinfo
from pathlib import Path

from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.gallery import ZONE, House, facts, refs, shown, tiles, total, visit


def test_a_range_is_selected_and_deleted_after_a_question(page: Page, house: House) -> None:
    order = refs(page)
    keys = [facts(page, ref)["key"] for ref in order[10:14]]
    before = total(page)
    page.get_by_role("button", name="Select", exact=True).click()
    tiles(page).nth(10).locator("a").click()
    tiles(page).nth(13).locator("a").click(modifiers=["Shift"])
    expect(page.locator("#how-many")).to_have_text("4 selected")
    page.locator("#bar").get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete 4 faces?")
    expect(question).to_be_visible()
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_be_hidden()
    page.locator("#bar").get_by_role("button", name="Delete").click()
    question.get_by_role("button", name="Delete 4 faces").click()
    expect(page.locator("#job")).to_contain_text("4 faces deleted")
    for ref in order[10:14]:
        expect(page.locator(f'[data-ref="{ref}"]')).to_have_count(0)
    assert refs(page)[10] == order[14]
    assert total(page) == before - 4
    assert not [key for key in keys if (house.store.bucket / key).exists()]
    page.get_by_role("link", name="Deletions").click()
    row = page.get_by_role("row").filter(has_text="anna").first
    expect(row).to_contain_text("4")


def test_one_is_deleted_in_the_viewer_which_shows_the_next(page: Page) -> None:
    order = refs(page)
    tiles(page).nth(6).locator("a").click()
    shown(page)
    page.locator("#viewer").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name="Delete 1 face?").get_by_role("button", name="Delete").click()
    expect(page.locator("#viewer article")).to_have_attribute("data-ref", order[7])
    page.keyboard.press("Escape")
    expect(page.locator(f'[data-ref="{order[6]}"]')).to_have_count(0)


def test_of_a_whole_day_the_number_has_to_be_typed(page: Page, house: House, now: int) -> None:
    # Not the newest day of all: other tests send a face or two.
    date = datetime.datetime.fromtimestamp(now / 1000, zoneinfo.ZoneInfo(ZONE)).date()
    day = page.locator(f".day[data-day='{date}']")
    day.get_by_role("button", name="Select day").click()
    expect(page.locator("#how-many")).to_have_text(re.compile(r"^[\d,]+ faces: "))
    page.locator("#bar").get_by_role("button", name="Delete").click()
    question = page.locator("#confirm")
    expect(question.get_by_role("heading")).to_have_text(re.compile(r"^Delete \d+ faces\?$"))
    yes = question.get_by_role("button", name="Delete")
    expect(yes).to_be_disabled()
    number = re.sub(r"\D", "", question.get_by_role("heading").inner_text())
    assert int(number) > 100
    question.get_by_label("Type the number").fill(number)
    expect(yes).to_be_enabled()
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()


def test_a_selection_is_downloaded_as_a_zip(page: Page, house: House, tmp_path: Path) -> None:
    chosen = {ref: facts(page, ref) for ref in refs(page)[20:26]}
    vanished = next(iter(chosen.values()))
    (house.store.bucket / vanished["key"]).unlink()
    page.get_by_role("button", name="Select", exact=True).click()
    tiles(page).nth(20).locator("a").click()
    tiles(page).nth(25).locator("a").click(modifiers=["Shift"])
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download zip").click()
    waited.value.save_as(tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == 6
        told = [json.loads(line) for line in archive.read("facts.jsonl").splitlines()]
        assert {one["key"] for one in told} == {one["key"] for one in chosen.values()}
        assert [one["key"] for one in told if one["file"] is None] == [vanished["key"]]
        for one in told:
            if one["file"] is not None:
                assert re.fullmatch(
                    r"[a-z]+/[a-z0-9-]+/20\d\d-\d\d-\d\d/face_\w+\.png", one["file"]
                )
                assert archive.read(one["file"]) == (house.store.bucket / one["key"]).read_bytes()
                assert one["metadata"]["device"] == one["device"]


def test_a_viewer_may_look_and_not_delete(browser: Browser, house: House) -> None:
    context = house.reader(browser, "vic")
    page = context.new_page()
    visit(page, house.at)
    page.get_by_role("button", name="Select", exact=True).click()
    tiles(page).nth(2).locator("a").click()
    delete = page.locator("#bar").get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    expect(delete).to_have_accessible_description("Viewers cannot delete; ask an admin.")
    said = page.evaluate(
        """async (ref) => {
            const told = {selection: {refs: [ref]}, expected: 1, added: 2 ** 52};
            const headers = {"Content-Type": "application/json"};
            const body = JSON.stringify(told);
            const answer = await fetch("/delete", {method: "POST", headers, body});
            return [answer.status, (await answer.json()).reason];
        }""",
        refs(page)[2],
    )
    assert said == [403, "read_only"]
    context.close()
