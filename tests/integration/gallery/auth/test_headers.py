"""The headers that browsers heed, with and without TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from common.http.exposure import Exposure
from gallery.auth.headers import ALWAYS
from testing.network.pki import Authority
from testing.services.guarded import PASSWORD, USERS, Browser, Guarded


def test_every_answer_has_the_headers_that_browsers_heed(
    ada: Browser, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    answers = {
        "page": (200, ada.get("/")),
        "missing": (404, ada.get("/nothing")),
        "fault": (500, ada.get("/broken")),
        "method": (405, ada.get("/echo")),
        "static": (200, browser.get("/static/login.css")),
        "login": (200, browser.load("/login")),
        "redirect": (303, browser.load("/")),
        "signed out": (401, browser.get("/")),
        "foreign": (403, ada.post("/delete", {}, sec_fetch_site="cross-site")),
        "origin": (403, ada.get("/", sec_fetch_site="cross-site")),
        "wrong password": (401, browser.login("ada", "wrong password")),
    }
    for what, (status, answer) in answers.items():
        assert answer.status == status, what
        for name, value in ALWAYS.items():
            assert answer.headers.get_all(name) == [value], what
        assert "Strict-Transport-Security" not in answer.headers
        assert ("no-store" in answer.headers["Cache-Control"]) == (what != "static"), what
    assert "unsafe" not in ALWAYS["Content-Security-Policy"]


def test_a_page_may_let_the_browser_keep_it(ada: Browser) -> None:
    assert ada.get("/image/1").headers["Cache-Control"] == "private"


def test_with_tls_cookies_never_leave_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    own = authority.issue("gallery", host="127.0.0.1")
    place = Exposure("127.0.0.1", "", str(own.cert), str(own.key))
    with Guarded(tmp_path, USERS, place) as app:
        browser = Browser(app, ssl.create_default_context(cafile=str(authority.ca)))
        answer = browser.login("ada", PASSWORD)
        assert answer.status == 303
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        lines = answer.headers.get_all("Set-Cookie", [])
        assert [line.partition("=")[0] for line in lines] == [
            "__Host-facepipe_session",
            "__Host-facepipe_known",
        ]
        assert all("; Secure" in line for line in lines)
        assert browser.get("/").status == 200
        plain = f"http://127.0.0.1:{app.port}"
        refused = browser.post("/delete", {}, sec_fetch_site=None, origin=plain)
        assert refused.status == 403
