"""Requests that pages of other sites make."""

from __future__ import annotations

import json

import pytest

from testing.services.guarded import OTHER, Browser, Guarded, read_counter


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},
        {"sec_fetch_site": None, "origin": "https://evil.example"},
        {"sec_fetch_site": None, "origin": "null"},
        {"sec_fetch_site": None, "origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": None, "origin": "http://[broken"},
    ],
)
def test_another_sites_page_changes_nothing(ada: Browser, headers: dict[str, str | None]) -> None:
    before = read_counter("requests_refused", reason="origin")
    assert ada.post("/delete", {}, **headers).status == 403
    assert ada.post("/login", {"username": "vic", "password": OTHER}, **headers).status == 403
    assert read_counter("requests_refused", reason="origin") == before + 2
    assert json.loads(ada.get("/").body)["user"] == "ada"


def test_browsers_that_tell_the_origin_only_are_understood(app: Guarded, ada: Browser) -> None:
    own = f"http://127.0.0.1:{app.port}"
    answer = ada.post("/delete", {}, sec_fetch_site=None, origin=own)
    assert answer.status == 200


def test_links_may_stand_anywhere_and_pictures_not(ada: Browser) -> None:
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ada.get("/image/1", sec_fetch_dest="document", **link).status == 200
    assert ada.get("/image/1", sec_fetch_dest="iframe", **link).status == 403
    for mode in ("no-cors", "cors"):
        answer = ada.get(
            "/image/1", sec_fetch_site="same-site", sec_fetch_mode=mode, sec_fetch_dest="image"
        )
        assert answer.status == 403
        assert json.loads(answer.body)["reason"] == "origin"
