"""The gallery's pages in a real browser, over a bucket with 5,000 faces."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import os
import re
import shutil
import time
import urllib.parse
import zipfile
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.services.gallery import PASSWORD, Gallery
from testing.services.process import Service
from testing.store.filled import Put, crops, face, fill, many
from testing.store.nanio import Store

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
# West of UTC, without daylight saving time: the last of the faces' days, which are those of UTC,
# ends on the same day of the reader's.
ZONE = "America/Sao_Paulo"
DAY = 86_400_000  # milliseconds
READER: dict[str, Any] = {"timezone_id": ZONE, "locale": "en-GB", "viewport": DESKTOP}
DEVICES = {"entrance": ["door", "lobby"], "canteen": ["camera-0"], "garage": ["ramp", "lift"]}
FACES = 5000
HEAVIEST = 200_000  # bytes of a page without its pictures
CHANGED = "ERR_NETWORK_CHANGED"  # as when somebody starts a container on this machine
SCRIPT = "<script>alert(1)</script>"

expect.set_options(timeout=15_000)


@dataclasses.dataclass
class House:
    """A store, a broker and a gallery, and the cookies of who has signed in to it."""

    store: Store
    broker: Mosquitto
    gallery: Gallery
    states: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def at(self) -> str:
        return self.gallery.at

    def reader(self, browser: Browser, name: str = "anna", **options: Any) -> BrowserContext:
        """A browser in which somebody is signed in."""
        if name not in self.states:
            context = browser.new_context(**READER)
            sign_in(context.new_page(), self.at, name)
            expect(context.pages[0].locator("h1")).to_contain_text("Faces")
            expect(context.pages[0].locator(f"html[data-zone='{ZONE}']")).to_be_attached()
            self.states[name] = context.storage_state()
            context.close()
        state: Any = self.states[name]
        return browser.new_context(storage_state=state, base_url=self.at, **{**READER, **options})


def housed(folder: Path, objects: list[Put], **settings: object) -> Iterator[House]:
    store = Store(folder)
    fill(store, objects)
    with (
        store,
        Mosquitto(folder / "broker") as broker,
        Gallery(store, folder / "data", MQTT_PORT=broker.port, **settings) as gallery,
    ):
        gallery.says(f"listed {len(objects)} objects")
        yield House(store, broker, gallery)


def visit(page: Page, path: str, scripts: bool = True) -> None:
    """Go there; once more if others changed this machine's network meanwhile, which Chromium minds
    and which may leave the page without its scripts."""
    for last in (False, True):
        try:
            page.goto(path)
            if scripts:
                page.locator("html.scripts").wait_for(timeout=10_000)
        except Error as error:
            if last or not (CHANGED in error.message or "Timeout" in error.message):
                raise
        else:
            return


def sign_in(page: Page, at: str, name: str, password: str = PASSWORD) -> None:
    visit(page, f"{at}/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "apt install chromium"
    with sync_playwright() as playwright:
        # Root cannot have the sandbox; it sees nothing but our own pages.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def now() -> int:
    """The end of yesterday (UTC, unix milliseconds): whatever the time is, that day is full."""
    return int(time.time() * 1000) // DAY * DAY - 1000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, now: int) -> Iterator[House]:
    """5,000 faces of 25 days."""
    objects = many(FACES, now - 60_000, DEVICES, days=25)
    folder = tmp_path_factory.mktemp("house")
    yield from housed(folder, objects, RETENTION_DAYS=30)


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """The page of faces; whatever it complains of fails the test."""
    context = house.reader(browser)
    page, said = listened(context)
    visit(page, house.at)
    expect(page.locator(".tile").first).to_be_visible()
    yield page
    context.close()
    assert said == []


def listened(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and what it says in the console when it should not."""
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda told: said.append(told.text) if is_complaint(told) else None)
    return page, said


def is_complaint(told: ConsoleMessage) -> bool:
    return told.type == "error" and CHANGED not in told.text


def tiles(page: Page) -> Locator:
    return page.locator(".tile")


def refs(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.tile')].map(tile => tile.dataset.ref)"
    )
    return found


def facts(page: Page, ref: str) -> dict[str, Any]:
    found: dict[str, Any] = page.request.get(f"/face/{ref}.json").json()
    return found


def shown(page: Page) -> str:
    """The ref of the face in the viewer, once all of it is there."""
    expect(page.locator("#viewer[open] dl").first).to_be_visible()
    expect(page.locator("#viewer")).not_to_have_attribute("aria-busy", "true")
    ref = page.locator("#viewer article").get_attribute("data-ref")
    assert ref
    return ref


def close(page: Page) -> None:
    """Close the viewer, and wait until the page's address is its own again."""
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("/face/"))


def total(page: Page) -> int:
    return int(page.locator("#total").get_attribute("data-count") or "")


# Signing in.


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


# Browsing.


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
        return page.locator(".tiles").first.locator(".tile").count() == 0

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
    expect(page.locator("h1")).to_contain_text("of garage")
    assert total(page) < FACES
    page.get_by_label("Camera").select_option("lift")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text("of garage, lift")
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


# One face.


def test_a_click_opens_a_face_and_keys_lead_on_and_back(page: Page) -> None:
    order = refs(page)
    tiles(page).nth(3).locator("a").click()
    assert shown(page) == order[3]
    assert page.url.endswith(f"/face/{order[3]}")
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


# What is new.


def test_a_face_appears_in_the_open_page_and_a_pill_tells_who_reads_on(
    browser: Browser, house: House
) -> None:
    bodies = crops(3)
    context = house.reader(browser)
    page, said = listened(context)
    visit(page, house.at)
    expect(tiles(page).first).to_be_visible()
    before = total(page)
    with (
        Service("processor", MQTT_PORT=house.broker.port, **house.store.settings) as processor,
        Sender(house.broker.port, "entrance") as sender,
    ):
        processor.says("cloud broker .*: connected")
        page.wait_for_function("performance.getEntriesByName(location.origin + '/live')")
        sender.receipt(sender.send(bodies[0], facts={"camera": "door", "captured": stamp()}))
        expect(page.locator(".is-new")).to_have_count(1)
        expect(tiles(page).first.locator("time")).to_be_attached()
        assert total(page) == before + 1
        page.evaluate("scrollTo(0, 2000)")
        for body in bodies[1:]:
            sender.receipt(sender.send(body, facts={"camera": "door", "captured": stamp()}))
        pill = page.get_by_role("button", name="2 new faces")
        expect(pill).to_be_visible()
        pill.click()
        expect(page.locator(".is-new")).to_have_count(3)
        expect(pill).to_be_hidden()
        assert facts(page, refs(page)[0])["sharpness"] is None
    context.close()
    assert said == []


def test_the_first_face_of_a_new_day_gets_its_mark_too(browser: Browser, tmp_path: Path) -> None:
    body = crops(1)[0]
    noon = 1_772_366_400_000
    old = face("entrance", "door", noon, body, "oldface00001")
    for house in housed(tmp_path, [old]):
        context = house.reader(browser)
        page, said = listened(context)
        visit(page, house.at)
        expect(tiles(page)).to_have_count(1)
        with (
            Service("processor", MQTT_PORT=house.broker.port, **house.store.settings) as processor,
            Sender(house.broker.port, "entrance") as sender,
        ):
            processor.says("cloud broker .*: connected")
            page.wait_for_function("performance.getEntriesByName(location.origin + '/live')")
            facts = {"camera": "door", "captured": "2026-03-02T12:00:00Z"}
            sender.receipt(sender.send(body, facts=facts))
            expect(page.locator(".day")).to_have_count(2)
            expect(tiles(page).first).to_have_class(re.compile(r"\bis-new\b"))
            expect(page.locator(".is-new")).to_have_count(1)
        context.close()
        assert said == []


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_nobody_is_told_anything_by_a_hidden_page(browser: Browser, house: House) -> None:
    def viewers() -> float:
        return house.gallery.metric("facepipe_gallery_viewers")

    context = house.reader(browser)
    page = context.new_page()
    visit(page, house.at)
    until(lambda: viewers() >= 1)
    with_page = viewers()
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    until(lambda: viewers() < with_page)
    context.close()


# Care for the people in the pictures.


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
    question.get_by_role("button", name="Keep").click()
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


# For everybody.


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
    page.get_by_role("button", name="Keep").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Select", exact=True).click()
    assert serious(page) == []


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


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


# What is bad, absent, or very much.


def test_what_is_tampered_with_is_refused_in_a_sentence(page: Page) -> None:
    for path in (
        "/more?after=nonsense",
        "/more?order=sharpest&after=2026-13-40~x",
        "/?day=yesterday",
        "/?order=random",
        "/?kind=%00",
        "/?day=2026-11-24&hour=25",
        f"/?device={'x' * 300}",
        "/face/../../etc/passwd.json",
        "/face/ABCDEF",
        "/thumb/..%2f..%2fetc",
        "/tiles?refs=zz",
    ):
        answer = page.request.get(path, headers={"Accept": "application/json"})
        assert answer.status in (400, 404), path
        assert answer.json()["error"].endswith("."), path


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory, now: int) -> Iterator[House]:
    """A bucket into which others have put things, too."""
    body = crops(1)[0]
    hour = 3_600_000
    named = {"device": SCRIPT, "camera": "<b>", "note": SCRIPT}
    objects = [
        face("entrance", "door", now - 5 * hour, body, "goodface0001", sharpness="80.5"),
        # As from a publisher that is not ours, by a template that has no device.
        Put(f"faces/{now}_strange001.png", body, named, now),
        face("entrance", "door", now - hour, b"this is no picture", "nopicture001"),
        face("entrance", "door", now - 2 * hour, b"<script>alert(1)</script>" * 9, "html00000001"),
        face("entrance", "door", now - 3 * hour, body[:8] + os.urandom(20_000_000), "large0000001"),
        # A key that nanio lists, and refuses to give out.
        Put("..%2f..%2fup/%0d%0aline\tbreak.png", body, {}, now - 4 * hour),
        Put("rejected/entrance/not_png_rejected0001", b"text", {"reason": "not_png"}, now),
    ]
    folder = tmp_path_factory.mktemp("strange")
    yield from housed(folder, objects)


def test_a_device_that_calls_itself_a_script_is_shown_as_text(
    browser: Browser, strange: House, tmp_path: Path
) -> None:
    context = strange.reader(browser)
    page, said = listened(context)
    page.on("dialog", lambda dialog: said.append(dialog.message))
    visit(page, strange.at)
    expect(tiles(page)).to_have_count(6)
    tiles(page).first.locator("a").click()
    shown(page)
    page.locator("#viewer summary").click()
    expect(page.locator("#viewer details")).to_contain_text(SCRIPT)
    for _ in range(5):
        before = shown(page)
        page.keyboard.press("ArrowRight")
        expect(page.locator("#viewer article")).not_to_have_attribute("data-ref", before)
    close(page)
    visit(page, f"{strange.at}/?device={urllib.parse.quote(SCRIPT)}")
    expect(page.locator("h1")).to_contain_text(SCRIPT)
    visit(page, f"{strange.at}/")
    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("button", name="Select all").click()
    expect(page.locator("#how-many")).to_contain_text("7 faces")
    with page.expect_download() as waited:
        page.get_by_role("button", name="Download zip").click()
    waited.value.save_as(tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._/-]*", name), name
            assert ".." not in name
        told = [json.loads(line) for line in archive.read("facts.jsonl").splitlines()]
        assert len(told) == 7
        # The store does not give out the object with the strangest key, which is told.
        assert [one["key"][:4] for one in told if one["file"] is None] == ["..%2"]
    context.close()
    assert [one for one in said if " 503 " not in one] == []


def test_what_is_no_picture_says_so_and_can_only_be_downloaded(
    browser: Browser, strange: House
) -> None:
    context = strange.reader(browser)
    page = context.new_page()
    visit(page, strange.at)
    found = {facts(page, ref)["id"].rpartition("/")[2]: ref for ref in refs(page)}
    for id, word in (("nopicture001", "not an image"), ("large0000001", "too large")):
        thumb = page.request.get(f"/thumb/{found[id]}")
        assert thumb.headers["content-type"].startswith("image/svg+xml")
        assert word in thumb.text()
    for id in ("nopicture001", "html00000001"):
        answer = page.request.get(f"/image/{found[id]}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("attachment; ")
    visit(page, f"{strange.at}/face/{found['html00000001']}")
    expect(page.get_by_text("it is not a PNG, or cannot be read")).to_be_visible()
    large = page.request.get(f"/image/{found['large0000001']}")
    assert len(large.body()) == 20_000_008
    good = f"/image/{found['goodface0001']}"
    tag = page.request.get(good).headers["etag"]
    again = page.request.get(good, headers={"If-None-Match": tag})
    assert again.status == 304
    visit(page, f"{strange.at}/?kind=rejected")
    expect(tiles(page)).to_have_count(1)
    expect(tiles(page).first).to_contain_text("not_png")
    context.close()


def test_a_bucket_that_goes_away_is_told_and_what_is_known_is_shown(
    browser: Browser, strange: House
) -> None:
    context = strange.reader(browser)
    page = context.new_page()
    visit(page, strange.at)
    expect(tiles(page)).to_have_count(6)
    strange.store.kill()
    page.get_by_role("link", name="Faces", exact=True).click()
    tiles(page).nth(5).locator("a").click()
    expect(page.locator("#viewer dl").first).to_contain_text("entrance")
    notice = page.locator('[data-about="store"]')
    expect(notice).to_contain_text("unreachable")
    close(page)
    page.reload()
    expect(tiles(page)).to_have_count(6)
    expect(notice).to_contain_text("The bucket cannot be reached (unreachable)")
    strange.store.start()
    expect(notice).to_have_count(0)
    context.close()


def test_a_bucket_without_faces_says_what_to_do_until_there_is_one(
    browser: Browser, tmp_path: Path
) -> None:
    for house in housed(tmp_path, []):
        context = house.reader(browser)
        page, said = listened(context)
        visit(page, house.at)
        expect(page.get_by_role("heading", name="No device has reported yet")).to_be_visible()
        assert serious(page) == []
        until(functools.partial(is_open, house))
        with (
            Service("processor", MQTT_PORT=house.broker.port, **house.store.settings) as processor,
            Sender(house.broker.port) as sender,
        ):
            processor.says("cloud broker .*: connected")
            sender.send(crops(1)[0], facts={"captured": stamp()})
            expect(tiles(page)).to_have_count(1)
        visit(page, f"{house.at}/?device=nobody")
        expect(page.get_by_role("heading", name="No faces match")).to_be_visible()
        context.close()
        assert said == []


def is_open(house: House) -> bool:
    return house.gallery.metric("facepipe_gallery_viewers") == 1


def test_a_thousand_devices_make_no_heavy_page(browser: Browser, tmp_path: Path, now: int) -> None:
    body = crops(1)[0]
    objects = [
        face(f"box-{number:04d}", "camera-0", now - number * 60_000, body, f"thousand{number:04d}")
        for number in range(1000)
    ]
    for house in housed(tmp_path, objects):
        context = house.reader(browser)
        page, said = listened(context)
        visit(page, house.at)
        assert len(page.request.get("/").body()) < HEAVIEST / 2
        field = page.get_by_label("Device")
        field.focus()
        expect(page.locator("#devices option")).to_have_count(1000)
        field.fill("box-0500")
        page.get_by_role("button", name="Show").click()
        expect(tiles(page)).to_have_count(1)
        context.close()
        assert said == []
