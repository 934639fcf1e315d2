"""What is bad, absent, or very much, in a real browser."""

from __future__ import annotations

import functools
import json
import os
import re
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.gallery import (
    HEAVIEST,
    House,
    close,
    facts,
    housed,
    listened,
    refs,
    serious,
    shown,
    stamp,
    tiles,
    visit,
)
from testing.host.wait import until
from testing.mqtt.sender import Sender
from testing.services.process import Service
from testing.store.filled import Put, crops, face

SCRIPT = "<script>alert(1)</script>"


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
