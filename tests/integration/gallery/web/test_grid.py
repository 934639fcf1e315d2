"""The grid of faces in a real browser: browsing, days, filters, and without a script."""

from __future__ import annotations

import re

from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.gallery import (
    FACES,
    READER,
    ZONE,
    House,
    facts,
    refs,
    sign_in,
    tiles,
    total,
    visit,
)
from testing.host.wait import until
from testing.services.gallery import PASSWORD


def test_who_is_not_signed_in_sees_nothing_and_a_wrong_password_is_refused(
    browser: Browser, house: House
) -> None:
    context = browser.new_context(**READER)
    page = context.new_page()
    sign_in(page, house.at, "anna", "wrong horse battery")
    expect(page.get_by_text("Wrong name or password")).to_be_visible()
    assert tiles(page).count() == 0
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(tiles(page).first).to_be_visible()
    # Once it knows the reader's zone, a page is loaded again; who signs out meanwhile is only asked
    # to sign in.
    expect(page.locator(f"html[data-zone='{ZONE}']")).to_be_attached()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out")).to_be_visible()
    context.close()


def test_faces_are_there_newest_first_by_day_with_their_thumbnails(
    page: Page, house: House
) -> None:
    newest = [facts(page, ref)["captured"] for ref in refs(page)[:5]]
    assert newest == sorted(newest, reverse=True)
    assert total(page) == FACES
    heading = page.locator(".day h2").first
    expect(heading).to_have_text(re.compile(r"^\w{3}, \d{1,2} \w+ 20\d\d$"))
    expect(page.locator(".day .count").first).to_have_text(re.compile(r"^[\d,]+ faces$"))
    image = tiles(page).first.locator("img")
    assert 0 < image.evaluate("image => image.decode().then(() => image.naturalWidth)") <= 240
    expect(page.locator("footer")).to_contain_text("30 days after they were stored")


def test_scrolling_goes_on_and_keeps_the_page_small(page: Page) -> None:
    first = refs(page)[0]
    loaded = "document.querySelectorAll('.tiles').length"

    def scrolled() -> bool:
        page.mouse.wheel(0, 4000)
        return int(page.evaluate(loaded)) > 12

    until(scrolled, 40)
    assert page.evaluate("scrollY") > 5000
    assert tiles(page).count() <= 600
    assert first not in refs(page)
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(f'[data-ref="{first}"] img')).to_be_visible()


def test_an_empty_chunk_is_as_high_as_a_full_one(page: Page) -> None:
    before = page.locator(".tiles").first.bounding_box()

    def emptied() -> bool:
        page.mouse.wheel(0, 3000)
        return bool(page.locator(".tiles").first.locator(".tile").count() == 0)

    until(emptied)
    after = page.locator(".tiles").first.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["height"] - after["height"]) < 1


def test_a_bar_leads_to_its_day_and_one_of_an_hour_to_that(page: Page) -> None:
    bars = page.locator(".by-day a")
    expect(bars.last).to_be_visible()
    assert bars.count() >= 25
    label = bars.nth(10).get_attribute("aria-label")
    assert label
    bars.nth(10).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".day h2").first).to_have_text(label.partition(":")[0])
    expect(page.locator(".day .count").first).to_have_text(label.partition(": ")[2])
    hour = page.locator(".by-hour a").first
    label = hour.get_attribute("aria-label")
    assert label
    hour.click()
    wanted = re.search(r", (\d+):00 to", label)
    assert wanted
    expect(tiles(page).first.locator("time")).to_have_text(re.compile(f"^{wanted[1].zfill(2)}:"))


def test_arrow_keys_go_from_bar_to_bar(page: Page) -> None:
    page.locator(".by-day a[tabindex='0']").focus()
    before = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") != before
    assert page.locator(".by-day a[tabindex='0']").count() == 1


def test_a_device_and_a_camera_can_be_picked(page: Page) -> None:
    page.get_by_label("Device").select_option("garage")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text("from garage")
    assert total(page) < FACES
    page.get_by_label("Camera").select_option("lift")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text("from garage, lift")
    assert page.url.endswith("/?device=garage&camera=lift")
    found = facts(page, refs(page)[7])
    assert (found["device"], found["camera"]) == ("garage", "lift")


def test_a_day_can_be_sorted_by_sharpness(page: Page) -> None:
    """The listing does not know it: the gallery reads it first, and says how far it is."""
    page.get_by_label("Sort").select_option("sharpest")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".day").first.locator(".reading")).to_have_count(0)
    found = [float(facts(page, ref)["sharpness"]) for ref in refs(page)[:8]]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


def test_without_script_it_can_be_browsed_and_deleted(browser: Browser, house: House) -> None:
    context = house.reader(browser, java_script_enabled=False)
    page = context.new_page()
    visit(page, f"{house.at}/?device=canteen", scripts=False)
    first = tiles(page).first.get_attribute("data-ref")
    page.get_by_role("link", name="Older faces").click()
    assert tiles(page).first.get_attribute("data-ref") != first
    tiles(page).nth(1).get_by_role("checkbox").check()
    gone = tiles(page).nth(1).get_attribute("data-ref")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Delete 1 face?")).to_be_visible()
    page.get_by_role("button", name="Delete 1 face").click()
    expect(page.get_by_role("heading", name=re.compile("Delet(ed|ing) 1 face"))).to_be_visible()
    until(lambda: page.request.get(f"/face/{gone}").status == 404)
    visit(page, f"{house.at}/?device=canteen", scripts=False)
    tiles(page).first.locator("a").click()
    expect(page.locator("dl").first).to_contain_text("canteen")
    page.get_by_role("link", name="Older").click()
    expect(page.locator("article")).not_to_have_attribute("data-ref", first or "")
    context.close()
