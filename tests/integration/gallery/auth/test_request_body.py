"""Bodies that are too large, of another kind, or never end."""

from __future__ import annotations

import pytest

from gallery.auth import request_body
from testing.services.guarded import Browser


def test_a_body_that_no_login_has_is_not_read(browser: Browser) -> None:
    assert browser.login("ada", "x" * request_body.MAX_LOGIN).status == 413
    answer = browser.ask("POST", "/login", b"{", content_type="application/json")
    assert answer.status == 401
    connection = browser.connection()
    chunks = (b"x" * 1000 for _ in range(request_body.MAX_LOGIN))
    try:
        connection.request("POST", "/login", chunks, encode_chunked=True)
        answer_status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):  # it did not wait for the end
        answer_status = 413
    assert answer_status == 413
    connection.close()


def test_a_body_that_never_ends_holds_nothing_up(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "WITHIN", 0.05)
    connection = browser.connection()
    connection.putrequest("POST", "/login")
    connection.putheader("Content-Length", "100")
    connection.endheaders()
    assert connection.getresponse().status == 408
    connection.close()


def test_a_body_reaches_its_page_whole_and_not_too_large(ada: Browser) -> None:
    kind = {"content_type": "application/json"}
    body = b"x" * request_body.MAX_BODY
    assert ada.ask("POST", "/echo", body, **kind).body == body
    assert ada.post("/echo", {"a": "ä"}).text == "a=%C3%A4"
    assert ada.post("/echo", {f"ref{n}": "1" for n in range(5000)}).status == 200
    assert ada.ask("POST", "/echo", body + b"x", **kind).status == 413
    assert ada.ask("POST", "/echo", None).status == 200
