"""Strangers at the gallery's port: a real server, real connections, before anybody signs in."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from common.http.exposure import Exposure
from gallery import connections
from gallery.auth import passwords
from gallery.auth.users import Account, User, Users
from testing.host.wait import until
from testing.network.pki import Authority
from testing.services.guarded import Browser, Guarded

pytestmark = pytest.mark.attack

PASSWORD = "correct horse"
USERS = Users([Account(User("ada", "admin"), passwords.hash_password(PASSWORD))])
STRANGER = ("127.0.0.2", 0)  # stands for another machine: loopback is 127.0.0.1 and ::1 alone


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Guarded]:
    with Guarded(tmp_path, USERS) as served:
        yield served


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def secure(tmp_path: Path, authority: Authority) -> Iterator[Guarded]:
    own = authority.issue("gallery", host="127.0.0.1")
    with Guarded(tmp_path, USERS, Exposure("127.0.0.1", "", str(own.cert), str(own.key))) as served:
        yield served


def opened() -> float:
    return REGISTRY.get_sample_value("facepipe_gallery_connections") or 0.0


def refused(reason: str) -> float:
    name = "facepipe_gallery_connections_refused_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0


def connect(app: Guarded) -> socket.socket:
    return socket.create_connection(("127.0.0.1", app.port), 10, STRANGER)


def is_over(sock: socket.socket) -> bool:
    """Whether the server has ended the connection."""
    sock.setblocking(False)
    try:
        return sock.recv(1000) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_crowd_that_says_nothing_is_refused_before_tls_and_leaves_others_their_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 28)
    monkeypatch.setattr(connections, "FOR_LOOPBACK", 4)
    monkeypatch.setattr(connections, "HANDSHAKE_WITHIN", 60.0)
    own = authority.issue("gallery", host="127.0.0.1")
    place = Exposure("127.0.0.1", "", str(own.cert), str(own.key))
    before = refused("address")
    with Guarded(tmp_path, USERS, place) as app:
        with contextlib.ExitStack() as sockets:
            crowd = [sockets.enter_context(connect(app)) for _ in range(100)]
            until(lambda: refused("address") - before == 88, what="all but 12 are refused")
            assert sum(map(is_over, crowd)) == 88
            assert opened() == 12
            browser = Browser(app, ssl.create_default_context(cafile=str(authority.ca)))
            assert browser.get("/login").status == 200
        until(lambda: opened() == 0, what="their places are free again")


def test_who_begins_no_handshake_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, secure: Guarded
) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_WITHIN", 0.3)
    before = refused("handshake")
    with connect(secure) as sock:
        until(lambda: is_over(sock), what="the server hangs up")
    until(lambda: refused("handshake") - before == 1, what="it is counted")


def test_a_head_that_comes_drop_by_drop_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, app: Guarded
) -> None:
    monkeypatch.setattr(connections, "HEAD_WITHIN", 0.5)

    def over() -> bool:
        try:
            sock.sendall(b"x")
        except OSError:
            return True
        return False

    with connect(app) as sock:
        sock.sendall(b"GET /login HTTP/1.1\r\nX-Slow: ")
        until(over, what="the server hangs up")


def test_an_answer_that_nobody_reads_ends_and_a_stream_that_is_read_lives(
    monkeypatch: pytest.MonkeyPatch, app: Guarded
) -> None:
    monkeypatch.setattr(connections, "STALL", 1.0)
    browser = Browser(app)
    assert browser.login("ada", PASSWORD).status == 303
    live = browser.connection()
    live.request("GET", "/live", headers=browser.headers())
    events = live.getresponse()
    assert events.readline() == b"data: first\n"
    unread = browser.connection()
    unread.request("GET", "/endless", headers=browser.headers())
    until(lambda: opened() == 2, what="both are served")
    until(lambda: opened() == 1, 30, "the answer that nobody reads is given up")
    assert live.sock is not None
    assert not is_over(live.sock)
    unread.close()
    live.close()
    until(lambda: opened() == 0)
