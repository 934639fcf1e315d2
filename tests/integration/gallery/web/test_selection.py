"""Selecting and downloading faces in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from playwright.sync_api import (
    Browser,
    Page,
    expect,
)

from testing.browser.gallery import House, facts, refs, tiles, visit


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
