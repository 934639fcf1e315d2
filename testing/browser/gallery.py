"""The gallery's pages: a house of faces, who reads it, and what its pages show."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
)

from testing.browser.chromium import DESKTOP
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import PASSWORD, Gallery
from testing.store.filled import Put, fill
from testing.store.nanio import Store

# West of UTC, without daylight saving time: the last of the faces' days, which are those of UTC,
# ends on the same day of the reader's.
ZONE = "America/Sao_Paulo"
DAY = 86_400_000  # milliseconds
READER: dict[str, Any] = {"timezone_id": ZONE, "locale": "en-GB", "viewport": DESKTOP}
DEVICES = {"entrance": ["door", "lobby"], "canteen": ["camera-0"], "garage": ["ramp", "lift"]}
FACES = 5000
HEAVIEST = 200_000  # bytes of a page without its pictures
CHANGED = "ERR_NETWORK_CHANGED"  # as when somebody starts a container on this machine


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
        gallery.says(f"listed {len(objects)} objects", 60)
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
    ref: str | None = page.locator("#viewer article").get_attribute("data-ref")
    assert ref
    return ref


def close(page: Page) -> None:
    """Close the viewer, and wait until the page's address is its own again."""
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("/face/"))


def total(page: Page) -> int:
    return int(page.locator("#total").get_attribute("data-count") or "")


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
