"""Who comes into the gallery, and who does not: a real server, real requests, and attacks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse
from starlette.types import Message

from common.http.exposure import Exposure
from common.http.names import HostNames
from gallery.auth import passwords, request_body, sessions
from gallery.auth.headers import ALWAYS
from gallery.auth.middleware import AccessMiddleware
from gallery.auth.users import Account, User, Users
from testing.host.wait import until
from testing.network.pki import Authority
from testing.services.guarded import Browser, Guarded

PASSWORD = "correct horse"
OTHER = "battery staple"
ADA = Account(User("ada", "admin"), passwords.hash_password(PASSWORD))
VIC = Account(User("vic", "viewer"), passwords.hash_password(OTHER))
USERS = Users([ADA, VIC])
HOUR = 3600.0  # seconds


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, USERS) as served:
        yield served


@pytest.fixture
def browser(app: Guarded) -> Browser:
    return Browser(app)


@pytest.fixture
def ada(app: Guarded) -> Browser:
    return signed_in(app, "ada", PASSWORD)


@pytest.fixture
def vic(app: Guarded) -> Browser:
    return signed_in(app, "vic", OTHER)


def signed_in(app: Guarded, name: str, password: str) -> Browser:
    browser = Browser(app)
    assert browser.login(name, password).status == 303
    return browser


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"facepipe_gallery_{name}_total", labels) or 0.0


# --- the way in


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


def test_names_are_taken_as_phones_write_them(browser: Browser) -> None:
    assert browser.login(" Ada ", PASSWORD).status == 303


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong horse"),
        ("ada", ""),
        ("ada", OTHER),
        ("bob", PASSWORD),
        ("", ""),
        ("ad\0a\r\n", PASSWORD),
        ("ada", "\ud800 no text".encode("utf-8", "surrogatepass").decode("latin-1")),
        ("<b>ada</b>", "x" * 5000),
    ],
)
def test_a_wrong_name_or_password_is_refused_in_the_same_words(
    browser: Browser, name: str, password: str
) -> None:
    before = counted("logins_refused", reason="password")
    answer = browser.login(name, password)
    assert answer.status == 401
    assert "Wrong name or password." in answer.text
    assert 'role="alert"' in answer.text
    assert 'aria-describedby="error"' in answer.text
    assert "Set-Cookie" not in answer.headers
    assert "<b>" not in answer.text
    assert counted("logins_refused", reason="password") == before + 1


def test_an_unknown_name_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def matches(_: str, hash: str) -> bool:
        compared.append(hash)
        return True

    monkeypatch.setattr(passwords, "matches", matches)
    assert USERS.check("nobody", PASSWORD) is None
    assert compared == [ADA.hash]


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


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\r\nSet-Cookie: a=b",
        " //evil.example",
        "evil.example",
        "",
        "/login",
        "/logout?x",
        "/" + "x" * 3000,
    ],
)
def test_a_login_leads_nowhere_else(browser: Browser, elsewhere: str) -> None:
    answer = browser.login("ada", PASSWORD, next=elsewhere)
    assert (answer.status, answer.goes_to) == (303, "/")
    assert "a=b" not in str(answer.headers)


def test_a_path_that_looks_like_another_host_is_not_remembered(browser: Browser) -> None:
    assert browser.load("//evil.example/").goes_to == "/login"


# --- sessions


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


# --- requests that other sites make


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
    before = counted("requests_refused", reason="origin")
    assert ada.post("/delete", {}, **headers).status == 403
    assert ada.post("/login", {"username": "vic", "password": OTHER}, **headers).status == 403
    assert counted("requests_refused", reason="origin") == before + 2
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


def test_a_body_reaches_its_page_whole_and_not_too_large(ada: Browser) -> None:
    kind = {"content_type": "application/json"}
    body = b"x" * request_body.MAX_BODY
    assert ada.ask("POST", "/echo", body, **kind).body == body
    assert ada.post("/echo", {"a": "ä"}).text == "a=%C3%A4"
    assert ada.post("/echo", {f"ref{n}": "1" for n in range(5000)}).status == 200
    assert ada.ask("POST", "/echo", body + b"x", **kind).status == 413
    assert ada.ask("POST", "/echo", None).status == 200


def test_who_may_look_may_not_delete(vic: Browser) -> None:
    answer = vic.post("/delete", {})
    assert answer.status == 403
    assert json.loads(answer.body)["reason"] == "read_only"
    page = vic.post("/delete", {}, sec_fetch_mode="navigate")
    assert (page.status, page.text[:14]) == (403, "Viewers cannot")
    assert vic.post("/echo", {}).status == 200


# --- headers


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
    before = counted("requests_refused", reason="host")
    answer = ada.load(path, host="rebound.example:9104")
    assert (answer.status, "HTTP_NAMES" in answer.text) == (421, True)
    assert ada.login("ada", PASSWORD).status == 303
    told = ada.post("/login", {}, host="rebound.example")
    assert (told.status, json.loads(told.body)["reason"]) == (421, "host")
    assert counted("requests_refused", reason="host") == before + 2


# --- tries


def test_many_wrong_passwords_make_all_wait_and_the_right_one_too(
    app: Guarded, browser: Browser
) -> None:
    before = counted("logins_refused", reason="limited")
    assert [browser.login("ada", f"wrong {n}").status for n in range(6)] == [401] * 5 + [429]
    answer = browser.login("ada", PASSWORD)
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "30"
    assert "Try again in 30 seconds." in answer.text
    assert counted("logins_refused", reason="limited") == before + 2
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
