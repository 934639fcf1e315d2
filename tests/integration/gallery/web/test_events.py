"""Open pages in a real browser: faces that come while somebody looks."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Route, expect

from testing.browser.gallery import House, facts, housed, listened, refs, stamp, tiles, total, visit
from testing.host.wait import until
from testing.mqtt.sender import Sender
from testing.services.process import Service
from testing.store.filled import crops, face

INDEXED = "facepipe_gallery_faces_indexed"


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
        sender.receipt(sender.send(bodies[0], facts={"camera": "door", "captured": stamp()}))
        expect(page.locator(".is-new")).to_have_count(1)
        expect(tiles(page).first.locator("time")).to_be_attached()
        assert total(page) == before + 1
        page.evaluate("scrollTo(0, 2000)")
        for body in bodies[1:]:
            sender.receipt(sender.send(body, facts={"camera": "door", "captured": stamp()}))
        pill = page.get_by_role("button", name="2 new visits")
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
            facts = {"camera": "door", "captured": "2026-03-02T12:00:00Z"}
            sender.receipt(sender.send(body, facts=facts))
            expect(page.locator(".day")).to_have_count(2)
            expect(tiles(page).first).to_have_class(re.compile(r"\bis-new\b"))
            expect(page.locator(".is-new")).to_have_count(1)
        context.close()
        assert said == []


def test_a_face_that_comes_while_the_page_is_being_opened_appears(
    browser: Browser, house: House
) -> None:
    body = crops(1)[0]
    context = house.reader(browser)
    page, said = listened(context)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/live?after=*", hold)
    visit(page, house.at)
    expect(tiles(page).first).to_be_visible()
    with (
        Service("processor", MQTT_PORT=house.broker.port, **house.store.settings) as processor,
        Sender(house.broker.port, "entrance") as sender,
    ):
        processor.says("cloud broker .*: connected")
        before = house.gallery.metric(INDEXED)
        sender.receipt(sender.send(body, facts={"camera": "door", "captured": stamp()}))
        until(lambda: house.gallery.metric(INDEXED) > before)
    held[0].continue_()
    expect(page.locator(".is-new")).to_have_count(1)
    context.close()
    assert said == []


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
