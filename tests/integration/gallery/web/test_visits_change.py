"""Visits in a real browser that grow, and that are deleted as they were confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from testing.browser.gallery import House, facts, refs, stamp, tiles, total, visit
from testing.browser.visits import FEW, SHOTS, VISITS, select, stacked, stacks, visit_of, visited
from testing.host.wait import until
from testing.mqtt.sender import Sender
from testing.services.process import Service
from testing.store.filled import crops


@pytest.fixture
def house(tmp_path: Path, now: int) -> Iterator[House]:
    yield from visited(tmp_path, now)


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    yield from stacked(browser, house)


@pytest.fixture
def sender(house: House, page: Page) -> Iterator[Sender]:
    """What a device sends from now on is stored."""
    with (
        Service("processor", MQTT_PORT=house.broker.port, **house.store.settings) as processor,
        Sender(house.broker.port, "entrance") as sender,
    ):
        processor.says("cloud broker .*: connected")
        yield sender


def send(sender: Sender, track: str, quality: float) -> None:
    said = {"camera": "door", "captured": stamp(), "track": track, "quality": str(quality)}
    sender.receipt(sender.send(crops(1)[0], facts=said))


def test_a_deletion_reaches_the_shots_that_were_confirmed_and_no_later_one(
    page: Page, house: House, sender: Sender
) -> None:
    before, stored = total(page), len(house.store.objects())
    track = f"d-{VISITS - 1}"
    select(page, 0, 1)
    expect(page.locator("#how-many")).to_have_text(f"2 visits ({2 * SHOTS} faces) selected")
    page.locator("#bar").get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name=f"Delete {2 * SHOTS} faces?")
    expect(question).to_contain_text("2 visits")
    send(sender, track, 0.1)
    expect(page.locator("#total")).to_have_attribute("data-count", str(before + 1))
    question.get_by_role("button", name=f"Delete {2 * SHOTS} faces").click()
    expect(page.locator("#job")).to_contain_text(f"{2 * SHOTS} faces deleted")
    until(lambda: len(house.store.objects()) == stored + 1 - 2 * SHOTS, what="they are gone")
    expect(tiles(page)).to_have_count(VISITS + FEW - 1)
    expect(page.locator("#total")).to_have_attribute("data-count", str(before + 1 - 2 * SHOTS))
    expect(page.locator("#visits")).to_have_attribute("data-count", str(VISITS + FEW - 1))
    left = facts(page, refs(page)[0])
    assert (left["metadata"]["track"], left["quality"]) == (track, 0.1)
    page.get_by_role("link", name="Deletions").click()
    row = page.get_by_role("row").filter(has_text="anna").first
    expect(row).to_contain_text(str(2 * SHOTS))


def test_what_comes_is_put_on_its_visit_whose_best_shot_is_shown(
    page: Page, sender: Sender
) -> None:
    before, order = total(page), refs(page)
    name = visit_of(page, order[3])
    track = facts(page, order[3])["metadata"]["track"]
    stack = page.locator(f'.stack[data-visit="{name}"]')
    send(sender, track, 0.1)
    expect(stack.locator(".shots")).to_have_text(str(SHOTS + 1))
    expect(stack).to_have_attribute("data-ref", order[3])
    send(sender, track, 0.99)
    expect(stack.locator(".shots")).to_have_text(str(SHOTS + 2))
    expect(stack).not_to_have_attribute("data-ref", order[3])
    assert facts(page, stack.get_attribute("data-ref") or "")["quality"] == 0.99
    expect(page.locator("#total")).to_have_attribute("data-count", str(before + 2))
    expect(page.locator("#visits")).to_have_attribute("data-count", str(VISITS + FEW))
    for quality in (0.5, 0.6, 0.7):
        send(sender, "new-1", quality)
    expect(page.locator(".tile.is-new")).to_have_count(1)
    expect(page.locator(".stack .shots").get_by_text("3", exact=True)).to_have_count(1)
    expect(page.locator("#visits")).to_have_attribute("data-count", str(VISITS + FEW + 1))


def test_a_shot_that_is_deleted_elsewhere_leaves_its_visit(page: Page, house: House) -> None:
    order, before = refs(page), total(page)
    lead, name = order[0], visit_of(page, order[0])
    admin = house.gallery.admin()
    admin.delete(refs=[lead])
    stack = page.locator(f'.stack[data-visit="{name}"]')
    expect(stack.locator(".shots")).to_have_text(str(SHOTS - 1))
    expect(stack).not_to_have_attribute("data-ref", lead)
    expect(page.locator("#total")).to_have_attribute("data-count", str(before - 1))
    admin.delete(filter={"visit": name})
    expect(stack).to_have_count(0)
    expect(page.locator("#total")).to_have_attribute("data-count", str(before - SHOTS))
    expect(page.locator("#visits")).to_have_attribute("data-count", str(VISITS + FEW - 1))
    expect(tiles(page)).to_have_count(VISITS + FEW - 1)


@pytest.mark.usefixtures("page")
def test_without_script_a_visit_is_opened_and_deleted_whole(browser: Browser, house: House) -> None:
    context = house.reader(browser, java_script_enabled=False)
    page = context.new_page()
    visit(page, house.at, scripts=False)
    expect(stacks(page)).to_have_count(VISITS + FEW)
    stored = len(house.store.objects())
    tiles(page).nth(1).get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name=f"Delete {SHOTS} faces?")).to_be_visible()
    expect(page.locator("main")).to_contain_text("1 visit")
    page.get_by_role("button", name=f"Delete {SHOTS} faces").click()
    until(lambda: len(house.store.objects()) == stored - SHOTS, what="they are gone")
    visit(page, house.at, scripts=False)
    tiles(page).first.locator("a").click()
    expect(tiles(page)).to_have_count(SHOTS)
    context.close()


def test_faces_whose_metadata_nobody_has_read_stand_one_by_one_until_asked(
    browser: Browser, house: House
) -> None:
    context = house.reader(browser)
    page = context.new_page()
    visit(page, house.at)
    page.get_by_role("link", name="find the visits").click()
    expect(stacks(page)).to_have_count(VISITS + FEW)
    context.close()
