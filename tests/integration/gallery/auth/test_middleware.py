"""Who comes into the gallery, and who does not: a real server and real requests."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from common.http.names import HostNames
from gallery.auth.middleware import AccessMiddleware
from testing.services.guarded import PASSWORD, Browser, Guarded, read_counter


def test_a_page_load_without_a_session_goes_to_the_login_and_then_where_it_was_going(
    browser: Browser,
) -> None:
    asked = browser.load("/image/1?device=a%20b&order=newest")
    assert asked.status == 303
    page = browser.load(asked.goes_to)
    assert page.status == 200
    assert 'name="next" value="/image/1?device=a%20b&amp;order=newest"' in page.text
    answer = browser.login("ada", PASSWORD, next="/image/1?device=a%20b&order=newest")
    assert (answer.status, answer.goes_to) == (303, "/image/1?device=a%20b&order=newest")
    assert browser.load(answer.goes_to).body == b"PNG"


def test_pages_know_who_asks(ada: Browser, vic: Browser) -> None:
    told = json.loads(ada.get("/").body)
    assert (told["user"], told["role"]) == ("ada", "admin")
    assert json.loads(vic.get("/").body)["role"] == "viewer"
    assert ada.load("/login").goes_to == "/"


def test_scripts_without_a_session_are_told_so_and_led_nowhere(browser: Browser) -> None:
    for path in ("/", "/image/1", "/nothing", "/live"):
        answer = browser.get(path, sec_fetch_mode="cors", accept="*/*")
        assert answer.status == 401
        assert json.loads(answer.body)["reason"] == "signed_out"
    assert browser.post("/delete", {}).status == 401
    assert browser.load("/login/").status == 303
    assert browser.load("/static/../").status == 303


def test_the_login_and_what_it_is_made_of_are_open_to_all(browser: Browser) -> None:
    assert browser.load("/login").status == 200
    assert browser.get("/static/login.css").status == 200
    assert browser.ask("POST", "/static/login.css", b"").status == 401


def test_a_path_that_looks_like_another_host_is_not_remembered(browser: Browser) -> None:
    assert browser.load("//evil.example/").goes_to == "/login"


def test_who_may_look_may_not_delete(vic: Browser) -> None:
    answer = vic.post("/delete", {})
    assert answer.status == 403
    assert json.loads(answer.body)["reason"] == "read_only"
    page = vic.post("/delete", {}, sec_fetch_mode="navigate")
    assert (page.status, page.text[:14]) == (403, "Viewers cannot")
    assert vic.post("/echo", {}).status == 200


def test_a_websocket_finds_nobody(app: Guarded) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    guard = AccessMiddleware(PlainTextResponse("inside"), app.sessions, HostNames(()), tls=False)
    asyncio.run(guard({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("path", ["/", "/login", "/static/login.css", "/live"])
def test_by_a_name_that_is_not_ours_nothing_is_answered(ada: Browser, path: str) -> None:
    """As when a stranger's page gives its own name our address: DNS rebinding."""
    before = read_counter("requests_refused", reason="host")
    answer = ada.load(path, host="rebound.example:9104")
    assert (answer.status, "HTTP_NAMES" in answer.text) == (421, True)
    assert ada.login("ada", PASSWORD).status == 303
    told = ada.post("/login", {}, host="rebound.example")
    assert (told.status, json.loads(told.body)["reason"]) == (421, "host")
    assert read_counter("requests_refused", reason="host") == before + 2
