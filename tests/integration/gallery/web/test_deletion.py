"""A person deletes faces in a real browser: one, a range, a whole day."""

from __future__ import annotations

import datetime
import re
import zoneinfo

from playwright.sync_api import Browser, Page, expect

from testing.browser.gallery import ZONE, House, facts, refs, shown, tiles, total, visit
from testing.host.wait import until


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


def test_a_whole_day_is_deleted_once_its_number_is_typed(
    page: Page, house: House, now: int
) -> None:
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
    before, stored = total(page), len(house.store.objects())
    yes.click()
    expect(page.locator("#job")).to_have_text(
        re.compile(rf"^{number} faces deleted"), timeout=30_000
    )
    expect(day).to_have_count(0, timeout=30_000)
    until(lambda: len(house.store.objects()) == stored - int(number), 30, "they are gone")
    page.get_by_role("link", name="Deletions").click()
    expect(page.get_by_role("row").filter(has_text="anna").first).to_contain_text(number)
    page.get_by_role("link", name="Faces", exact=True).click()
    assert total(page) == before - int(number)


def test_who_deletes_all_faces_of_the_page_reads_that_they_are_deleted(
    browser: Browser, house: House
) -> None:
    context = house.reader(browser)
    page = context.new_page()  # it asks for some thumbnails of faces that are gone
    visit(page, f"{house.at}/?device=garage&camera=lift&shots=all")
    page.get_by_role("button", name="Select", exact=True).click()
    page.locator("#pick-all").click()
    page.locator("#bar").get_by_role("button", name="Delete").click()
    question = page.locator("#confirm")
    heading = question.get_by_role("heading")
    expect(heading).to_have_text(re.compile(r"^Delete [\d,]+ faces\?$"))
    number = re.findall(r"[\d,]+", heading.inner_text())[0]
    question.get_by_label("Type the number").fill(number.replace(",", ""))
    question.get_by_role("button", name="Delete").click()
    expect(page.locator(".empty")).to_be_visible(timeout=30_000)
    expect(page.locator("#job")).to_have_text(re.compile(rf"^{number} faces deleted"))
    context.close()
