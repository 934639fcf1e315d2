"""The gallery's login in a real browser: Debian's Chromium."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, ViewportSize
from playwright.sync_api import expect as expected

from testing.browser.chromium import DESKTOP, PHONE
from testing.services.guarded import PASSWORD, USERS, Guarded


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, USERS) as served:
        yield served


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=DESKTOP)
    yield made
    made.close()


@pytest.fixture
def page(app: Guarded, context: BrowserContext) -> Page:
    """Wherever it is led from /page; nothing on the way is against the page's own policy."""
    page = context.new_page()
    page.on("console", _complain)
    page.goto(f"http://127.0.0.1:{app.port}/page")
    return page


def _complain(message: ConsoleMessage) -> None:
    # A refused password is an answer with status 401 or 429, which the browser writes down, too.
    assert "Content Security Policy" not in message.text, message.text


def sign_in(page: Page, password: str) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_one_signs_in_by_keyboard_alone_and_out_again(page: Page) -> None:
    expected(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expected(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expected(page).to_have_title("ada")
    assert page.url.endswith("/page")
    page.get_by_role("button", name="Sign out").click()
    expected(page.get_by_role("status")).to_have_text("You have signed out.")
    page.go_back()
    expected(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_password_is_told_and_the_name_kept(page: Page) -> None:
    sign_in(page, "wrong horse")
    error = page.get_by_role("alert")
    expected(error).to_have_text("Wrong name or password.")
    expected(page.get_by_label("Name")).to_have_value("ada")
    password = page.get_by_label("Password")
    expected(password).to_be_focused()
    expected(password).to_have_value("")
    expected(password).to_have_accessible_description("Wrong name or password.")
    sign_in(page, PASSWORD)
    expected(page).to_have_title("ada")


def test_without_script_it_works_the_same(app: Guarded, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{app.port}/page")
    sign_in(page, PASSWORD)
    expected(page).to_have_title("ada")
    context.close()


def test_password_managers_know_the_fields(page: Page) -> None:
    expected(page.get_by_label("Name")).to_have_attribute("autocomplete", "username")
    expected(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everybody_can_read_it(
    app: Guarded, browser: Browser, scheme: Literal["light", "dark"], size: ViewportSize
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    # axe brings itself in as a script, which the page's policy refuses to everybody else.
    reader = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    for made in (context, reader):
        page = made.new_page()
        page.goto(f"http://127.0.0.1:{app.port}/page")
        sign_in(page, "wrong horse")
        expected(page.get_by_role("alert")).to_be_visible()
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert page.evaluate(wide), "it scrolls sideways"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 300) == (scheme == "dark")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    for made in (context, reader):
        made.close()


@pytest.mark.parametrize("site", ["http://127.0.0.1:{port}", "http://localhost:{port}"])
def test_a_page_of_another_site_or_port_cannot_delete(
    app: Guarded, page: Page, site: str, tmp_path: Path
) -> None:
    """To a browser another port of this host is the same site, so the cookie comes along there."""
    sign_in(page, PASSWORD)
    expected(page).to_have_title("ada")
    (tmp_path / "index.html").write_text(
        f"<form method=post action=http://127.0.0.1:{app.port}/delete><button>Win</button></form>"
    )
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page.goto(site.format(port=other.server_port))
        with page.expect_response("**/delete") as answer:
            page.get_by_role("button", name="Win").click()
        other.shutdown()
    assert answer.value.status == 403
    page.goto(f"http://127.0.0.1:{app.port}/page")
    expected(page).to_have_title("ada")
    assert page.evaluate("() => fetch('/delete', {method: 'POST'}).then((it) => it.status)") == 200
