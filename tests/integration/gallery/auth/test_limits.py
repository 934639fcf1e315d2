"""Many tries of passwords: who has to wait, and what the log says of it."""

from __future__ import annotations

import logging

import pytest

from testing.services.guarded import OTHER, PASSWORD, Browser, Guarded, read_counter, signed_in


def test_many_wrong_passwords_make_all_wait_and_the_right_one_too(
    app: Guarded, browser: Browser
) -> None:
    before = read_counter("logins_refused", reason="limited")
    assert [browser.login("ada", f"wrong {n}").status for n in range(6)] == [401] * 5 + [429]
    answer = browser.login("ada", PASSWORD)
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "30"
    assert "Try again in 30 seconds." in answer.text
    assert read_counter("logins_refused", reason="limited") == before + 2
    app.clock.now += 29
    assert "Try again in 1 second." in browser.login("ada", PASSWORD).text
    app.clock.now += 1
    assert browser.login("ada", PASSWORD).status == 303


def test_right_passwords_use_nothing_up(app: Guarded) -> None:
    for _ in range(7):
        signed_in(app, "ada", PASSWORD)


def test_a_browser_that_is_known_is_let_in_while_others_try_passwords(
    app: Guarded, ada: Browser
) -> None:
    ada.post("/logout", {})
    attacker = Browser(app)
    while attacker.login("ada", "guess").status != 429:
        pass
    vic = Browser(app)
    vic.cookies = dict(ada.cookies)
    assert vic.login("vic", OTHER).status == 429  # it is known for ada only
    attacker.cookies["facepipe_known"] = "00.00"
    assert attacker.login("ada", "guess").status == 429
    assert [ada.login("ada", "typo").status for _ in range(4)] == [401] * 4
    assert ada.login("ada", PASSWORD).status == 303
    assert [ada.login("ada", "typo").status for _ in range(6)] == [401] * 5 + [429]


def test_the_log_tells_who_tried_from_where_and_no_secret(
    ada: Browser, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser.login("ada", "a wrong secret")
    browser.login("typed-here-a-password", "another secret")
    browser.login("ada\r\n2026 forged", "x")
    for _ in range(4):
        browser.login("vic", OTHER + "!")
    ada.post("/logout", {})
    assert "login refused: ada, from 127.0.0.1" in caplog.text
    assert "login refused: an unknown name, from 127.0.0.1" in caplog.text
    assert "login refused: too many attempts, now from 127.0.0.1" in caplog.text
    assert "ada signed out from 127.0.0.1" in caplog.text
    secrets = ["secret", "typed-here", "forged", OTHER, *ada.cookies.values()]
    assert not [text for text in secrets if text in caplog.text]
