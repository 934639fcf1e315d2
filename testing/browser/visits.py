"""A house of visits, and the page of faces with a tile for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from testing.browser.gallery import DAY, House, facts, housed, listened, tiles, visit
from testing.store.filled import visits

VISITS, SHOTS = 30, 12  # at the door
FEW = 4  # visits in the lobby, of as many shots each


def visited(folder: Path, now: int) -> Iterator[House]:
    """A day at a door, and what a lobby saw of it; `now`: its last second, unix ms."""
    noon = now + 1000 - DAY // 2
    door = visits("door", "d", VISITS, SHOTS, noon, 300_000)
    yield from housed(folder, door + visits("lobby", "l", FEW, FEW, noon - 3_600_000, 60_000))


def stacked(browser: Browser, house: House) -> Iterator[Page]:
    """The page of faces once the metadata are read, which the listing does not have; whatever it
    complains of fails the test."""
    context = house.reader(browser)
    page, said = listened(context)
    visit(page, f"{house.at}/?shots=visit")
    expect(page.locator(".reading")).to_have_count(0)
    expect(stacks(page)).to_have_count(VISITS + FEW)
    visit(page, house.at)
    expect(stacks(page)).to_have_count(VISITS + FEW)
    yield page
    context.close()
    assert said == []


def stacks(page: Page) -> Locator:
    return page.locator(".stack")


def select(page: Page, *places: int) -> None:
    page.get_by_role("button", name="Select", exact=True).click()
    for at in places:
        tiles(page).nth(at).locator("a").click()


def visit_of(page: Page, ref: str) -> str:
    """The name of a face's visit."""
    name: str = facts(page, ref)["visit"]
    return name
