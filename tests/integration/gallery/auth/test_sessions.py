"""Sessions: when they begin and end, what survives a restart, and what is on disk."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from gallery.auth import passwords, sessions
from gallery.auth.users import Account, User, Users
from testing.host.wait import until
from testing.services.guarded import ADA, OTHER, PASSWORD, USERS, VIC, Browser, Guarded, signed_in

HOUR = 3600.0  # seconds


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(app: Guarded) -> None:
    answer = Browser(app).login("ada", PASSWORD)
    for line in answer.headers.get_all("Set-Cookie", []):
        assert "HttpOnly" in line
        assert "SameSite=lax" in line
        assert "Path=/" in line
        assert "Domain" not in line


def test_a_session_that_was_there_before_the_login_is_worth_nothing(app: Guarded) -> None:
    browser = Browser(app)
    browser.cookies["facepipe_session"] = planted = "A" * sessions.TOKEN
    browser.login("ada", PASSWORD)
    assert browser.cookies["facepipe_session"] != planted
    attacker = Browser(app)
    attacker.cookies["facepipe_session"] = planted
    assert attacker.get("/").status == 401


def test_a_new_login_ends_the_session_that_the_browser_had(app: Guarded, vic: Browser) -> None:
    before = dict(vic.cookies)
    vic.login("ada", PASSWORD)
    assert json.loads(vic.get("/").body)["user"] == "ada"
    vic.cookies = before
    assert vic.get("/").status == 401


@pytest.mark.parametrize("tampered", ["", "x", "A" * 43, "é" * 43, "A" * 5000, "%00"])
def test_a_cookie_of_ones_own_making_opens_nothing(ada: Browser, tampered: str) -> None:
    good = ada.cookies["facepipe_session"]
    ada.cookies["facepipe_session"] = tampered.encode().decode("latin-1")
    assert ada.get("/").status == 401
    ada.cookies["facepipe_session"] = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert ada.get("/").status == 401
    ada.cookies["facepipe_session"] = good
    assert ada.get("/").status == 200


def test_a_session_ends_when_nobody_uses_it(app: Guarded, ada: Browser) -> None:
    app.clock.now += 11 * HOUR
    assert ada.get("/").status == 200
    app.clock.now += 11 * HOUR
    assert ada.get("/").status == 200
    app.clock.now += 12 * HOUR
    assert ada.get("/").status == 401
    page = ada.load(ada.load("/").goes_to)
    assert "Your session has ended" in page.text


def test_a_session_ends_after_a_week_however_busy(app: Guarded, ada: Browser) -> None:
    for _ in range(16):
        app.clock.now += 10 * HOUR
        assert ada.get("/").status == 200
    app.clock.now += 8 * HOUR
    assert ada.get("/").status == 401


def test_signing_out_ends_the_session_and_says_so(app: Guarded, ada: Browser) -> None:
    before = dict(ada.cookies)
    answer = ada.post("/logout", {})
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert "facepipe_session" not in ada.cookies
    assert "You have signed out." in ada.load(answer.goes_to).text
    ada.cookies = before
    assert ada.get("/").status == 401


def test_signing_out_ends_what_is_still_being_sent(app: Guarded, ada: Browser) -> None:
    connection = ada.connection()
    connection.request("GET", "/live", headers=ada.headers())
    stream = connection.getresponse()
    assert stream.readline() == b"data: first\n"
    assert ada.post("/logout", {}).status == 303
    assert stream.read() == b"\n"
    connection.close()


def test_what_is_still_being_sent_ends_with_the_week(app: Guarded, ada: Browser) -> None:
    end = app.clock.now + sessions.LONGEST
    for _ in range(16):
        app.clock.now += 10 * HOUR
        ada.get("/")
    app.clock.now = end - 0.2
    connection = ada.connection()
    connection.request("GET", "/live", headers=ada.headers())
    assert connection.getresponse().read() == b"data: first\n\n"
    connection.close()


def test_when_a_session_was_used_is_known_when_the_gallery_starts_again(tmp_path: Path) -> None:
    def written() -> float:
        with contextlib.closing(sqlite3.connect(tmp_path / "sessions.db")) as database:
            return float(database.execute("SELECT seen FROM sessions").fetchone()[0])

    with Guarded(tmp_path, USERS) as app:
        ada = signed_in(app, "ada", PASSWORD)
        app.clock.now = used = app.clock.now + 11 * HOUR
        ada.get("/")
        until(lambda: written() == used)
    with Guarded(tmp_path, USERS) as app:
        app.clock.now = used + 11 * HOUR
        again = Browser(app)
        again.cookies = ada.cookies
        assert again.get("/").status == 200


def test_sessions_live_on_when_the_gallery_starts_again(tmp_path: Path) -> None:
    with Guarded(tmp_path, USERS) as app:
        ada, vic = signed_in(app, "ada", PASSWORD), signed_in(app, "vic", OTHER)
        ada.post("/logout", {})
    with Guarded(tmp_path, USERS) as app:
        again = Browser(app)
        again.cookies = vic.cookies
        assert json.loads(again.get("/").body)["user"] == "vic"
    with Guarded(tmp_path, Users([ADA, Account(User("vic", "admin"), VIC.hash)])) as app:
        again = Browser(app)
        again.cookies = vic.cookies
        assert again.get("/").status == 401  # it is another user with another role


def test_a_new_password_or_no_user_any_more_ends_sessions(tmp_path: Path) -> None:
    with Guarded(tmp_path, USERS) as app:
        ada, vic = signed_in(app, "ada", PASSWORD), signed_in(app, "vic", OTHER)
    changed = Account(ADA.user, passwords.hash_password(PASSWORD))
    for _ in range(2):
        with Guarded(tmp_path, Users([changed])) as app:
            for browser in (ada, vic):
                again = Browser(app)
                again.cookies = browser.cookies
                assert again.get("/").status == 401
    with Guarded(tmp_path, USERS) as app:
        again = Browser(app)
        again.cookies = ada.cookies
        assert again.get("/").status == 401  # nor do they come back with it


def test_no_token_or_password_is_on_disk(tmp_path: Path) -> None:
    with Guarded(tmp_path, USERS) as app:
        ada = signed_in(app, "ada", PASSWORD)
        secrets = [ada.cookies["facepipe_session"], PASSWORD]
        files = list(tmp_path.iterdir())
        assert files
        for path in files:
            assert not [text for text in secrets if text.encode() in path.read_bytes()]
            assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_file_of_sessions_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").write_bytes(b"no database at all" * 1000)
    with Guarded(tmp_path, USERS) as app:
        signed_in(app, "ada", PASSWORD)
    with sqlite3.connect(tmp_path / "sessions.db") as database:
        assert database.execute("SELECT name FROM sessions").fetchall() == [("ada",)]
    database.close()


def test_sessions_that_cannot_be_kept_last_as_long_as_the_gallery(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").mkdir()
    with Guarded(tmp_path, USERS) as app:
        assert signed_in(app, "ada", PASSWORD).get("/").status == 200


def test_one_session_too_many_ends_the_one_idle_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 2)
    with Guarded(tmp_path, USERS) as app:
        browsers = []
        for _ in range(3):
            browsers.append(signed_in(app, "ada", PASSWORD))
            app.clock.now += 1
            browsers[0].get("/")
        assert [browser.get("/").status for browser in browsers] == [200, 401, 200]
