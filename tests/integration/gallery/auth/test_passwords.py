"""Signing in: names, passwords, and where a login leads."""

from __future__ import annotations

import pytest

from gallery.auth import passwords
from testing.services.guarded import ADA, OTHER, PASSWORD, USERS, Browser, read_counter


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
    before = read_counter("logins_refused", reason="password")
    answer = browser.login(name, password)
    assert answer.status == 401
    assert "Wrong name or password." in answer.text
    assert 'role="alert"' in answer.text
    assert 'aria-describedby="error"' in answer.text
    assert "Set-Cookie" not in answer.headers
    assert "<b>" not in answer.text
    assert read_counter("logins_refused", reason="password") == before + 1


def test_an_unknown_name_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def matches(_: str, hash: str) -> bool:
        compared.append(hash)
        return True

    monkeypatch.setattr(passwords, "matches", matches)
    assert USERS.check("nobody", PASSWORD) is None
    assert compared == [ADA.hash]


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
