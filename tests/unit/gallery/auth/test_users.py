"""Users, their passwords, and how often these may be tried."""

from __future__ import annotations

import logging
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.http.exposure import Exposure
from common.runtime import rate_limit
from common.runtime.rate_limit import TokenBucket
from common.settings import SettingsError
from gallery.auth import passwords
from gallery.auth.bootstrap import FILE, first_user
from gallery.auth.limits import LoginLimits
from gallery.auth.users import Account, User, parse
from testing.network.pki import Authority
from testing.services.guarded import Clock
from testing.services.process import ROOT

PASSWORD = "correct horse"
# Always the same, since it becomes part of tests' names.
HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$6A6wjidz4lpjKLZEbquWvA$"
    "jfkzesd4vlZjXTmzqym+Ou4hqfkxLIRa/rnwSo9z2oo"
)


# --- GALLERY_USERS


def test_lines_of_users_are_read_and_comments_passed_over() -> None:
    users = parse(
        f"# who may come in\n\n  ada:admin:{HASH}  \r\n # no more\nvic@home:viewer:{HASH}\n"
    )
    assert len(users) == 2
    ada, vic = users.check("ada", PASSWORD), users.check("vic@home", PASSWORD)
    assert ada is not None
    assert vic is not None
    assert (ada.user, vic.user) == (User("ada", "admin"), User("vic@home", "viewer"))
    assert ada.user.is_admin
    assert not vic.user.is_admin
    assert users.check("ada", "correct horsf") is None
    assert users.check("bob", PASSWORD) is None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ada", "(ada) has no role: write ada:admin:hash or ada:viewer:hash"),
        (f"ada:{HASH}", "(ada) has no role"),
        (f"ada:root:{HASH}", "(ada) has no role"),
        (f"Ada Lovelace:admin:{HASH}", "does not begin with a user's name"),
        (f"ad\0a:admin:{HASH}", "does not begin with a user's name"),
        (f":admin:{HASH}", "does not begin with a user's name"),
        (f"{'a' * 64}:admin:{HASH}", "does not begin with a user's name"),
        ("ada:admin:", "has no complete hash"),
        ("ada:admin:secret-in-clear", "has no complete hash"),
        ("ada:admin:=19=19456,t=2,p=1", "or write $$ for each $ in a compose file"),
        (f"ada:admin:{HASH[:-30]}", "has no complete hash"),
        (f"ada:admin:{HASH.replace('argon2id', 'argon2i')}", "has no complete hash"),
        (f"ada:admin:{HASH.replace('19456', '1048576')}", "takes 1024 MiB to check; at most 64"),
        (f"eve:admin:{HASH}", "names eve a second time"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_a_remedy(line: str, fault: str) -> None:
    with pytest.raises(ValueError, match="line 2 ") as caught:
        parse(f"eve:viewer:{HASH}\n{line}\n")
    assert fault in str(caught.value)
    assert HASH[-20:] not in str(caught.value)
    assert "secret-in-clear" not in str(caught.value)


def test_all_wrong_lines_are_named_at_once_and_nobody_is_a_fault() -> None:
    with pytest.raises(ValueError, match=r"line 1 .*; line 2 "):
        parse("a\nb")
    with pytest.raises(ValueError, match="has no users: python -m gallery --add-user"):
        parse("# nobody yet\n")


def test_accounts_show_no_hash() -> None:
    account = Account(User("ada", "admin"), HASH)
    assert HASH not in repr(account) + repr(parse(account.line))
    assert account.mark != Account(User("ada", "viewer"), HASH).mark


def test_a_password_is_the_same_however_its_signs_are_composed() -> None:
    assert passwords.matches("caf\u00e9 au lait", passwords.hash_password("cafe\u0301 au lait"))
    assert not passwords.matches("cafe au lait", passwords.hash_password("caf\u00e9 au lait"))
    assert not passwords.matches(PASSWORD, "no hash")


def test_checking_a_password_takes_the_memory_that_owasp_recommends() -> None:
    assert "$m=19456,t=2,p=1$" in passwords.hash_password(PASSWORD)


# --- the first start


def test_the_first_start_makes_a_user_and_says_the_password_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "deep" / "data"
    first_user(folder)
    (record,) = caplog.records
    found = re.search(r"the password ((?:[a-z0-9]{5}-){3}[a-z0-9]{5}) ", record.getMessage())
    assert found
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert found[1] not in (folder / FILE).read_text()
    assert os.listdir(folder) == [FILE]
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    account = first_user(folder).check("admin", found[1])
    assert account is not None
    assert account.user == User("admin", "admin")
    assert not caplog.records


def test_of_two_first_starts_one_makes_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / FILE
    hashed = passwords.hash_password

    def meanwhile(password: str) -> str:
        path.write_text(f"ada:viewer:{HASH}\n")
        return hashed(password)

    monkeypatch.setattr(passwords, "hash_password", meanwhile)
    assert first_user(tmp_path).get("ada") is not None
    assert not caplog.records
    assert os.listdir(tmp_path) == [FILE]


def test_a_file_of_users_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"users\.txt .*codec"):
        first_user(tmp_path)
    (tmp_path / FILE).write_text("ada\n")
    with pytest.raises(SettingsError, match=r"users\.txt has errors: line 1 \(ada\) has no role"):
        first_user(tmp_path)
    with pytest.raises(SettingsError, match="set GALLERY_DATA to a folder that user"):
        first_user(tmp_path / FILE)


# --- python -m gallery --add-user


def add_user(password: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """With no settings at all: it needs none of them."""
    return subprocess.run(
        [sys.executable, "-m", "gallery", "--add-user", *arguments],
        input=password,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )


def test_the_command_prints_a_line_for_gallery_users() -> None:
    made = add_user(b"correct horse\n", "vic", "--role", "viewer")
    assert made.returncode == 0, made.stderr
    account = parse(made.stdout.decode()).check("vic", PASSWORD)
    assert account is not None
    assert account.user == User("vic", "viewer")
    assert b"GALLERY_USERS_FILE" in made.stderr
    assert b"correct" not in made.stdout + made.stderr


@pytest.mark.parametrize(
    ("password", "arguments", "fault"),
    [
        (b"short\n", ["ada"], b"must have at least 8 characters"),
        (b"", ["ada"], b"must have at least 8 characters"),
        (b"x" * 1001, ["ada"], b"must have at most 1000 characters"),
        (b"\xff" * 9, ["ada"], b"not valid UTF-8"),
        (b"correct horse\n", ["Ada Lovelace"], b"a name has 1 to 63 characters of"),
        (b"correct horse\n", ["ada", "bob"], b"a name has 1 to 63 characters of"),
        (b"correct horse\n", ["ada", "--role", "root"], b"--role must be one of admin, viewer"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    password: bytes, arguments: list[str], fault: bytes
) -> None:
    made = add_user(password, *arguments)
    assert made.returncode == 2
    assert fault in made.stderr
    assert made.stdout == b""


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self.shown = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gallery", "--add-user", "ada"],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            cwd=ROOT,
            start_new_session=True,
        )

    def sees(self, text: bytes) -> None:
        while text not in self.shown:
            self.shown += os.read(self._ours, 1000)

    def types(self, text: str) -> None:
        os.write(self._ours, f"{text}\n".encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("second", "code", "told"), [(PASSWORD, 0, b":admin:"), ("x", 2, b"the passwords differ")]
)
def test_on_a_terminal_the_command_asks_twice_and_shows_nothing(
    terminal: Terminal, second: str, code: int, told: bytes
) -> None:
    terminal.sees(b"password: ")
    assert not terminal.echoes
    terminal.types(PASSWORD)
    terminal.sees(b"password again: ")
    terminal.types(second)
    terminal.sees(told)
    assert terminal.process.wait(20) == code
    assert PASSWORD.encode() not in terminal.shown


def test_given_up_by_ctrl_c_the_command_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.sees(b"password: ")
    terminal.process.send_signal(signal.SIGINT)
    terminal.sees(b"cancelled")
    assert terminal.process.wait(20) == 2
    assert terminal.echoes


# --- limits


def test_a_bucket_fills_by_and_by() -> None:
    bucket = TokenBucket(3, 10.0)
    for _ in range(3):
        assert bucket.wait("a", 100.0) <= 0
        bucket.take("a", 100.0)
    assert bucket.wait("a", 100.0) == 10
    assert bucket.wait("b", 100.0) <= 0
    assert bucket.wait("a", 109.0) == 1
    assert bucket.wait("a", 110.0) <= 0
    bucket.give_back("a")
    assert bucket.wait("a", 100.0) <= 0
    assert bucket.wait("a", 1e9) <= 0


def test_a_bucket_remembers_a_bounded_number_and_the_latest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limit, "MOST", 10)
    bucket = TokenBucket(1, 10.0)
    for number in range(1000):
        bucket.take(str(number), 100.0)
        assert len(bucket) <= 10
    assert bucket.wait("999", 100.0) > 0
    assert bucket.wait("0", 100.0) <= 0
    bucket.take("new", 200.0)
    assert len(bucket) == 1  # all others had rested long enough
    bucket.give_back("forgotten")


def test_tries_from_many_addresses_are_limited_together() -> None:
    clock = Clock(0.0)
    tries = LoginLimits(clock)
    waits = [tries.take(f"192.0.2.{number}") for number in range(21)]
    assert waits == [0.0] * 20 + [6.0]
    assert tries.take("192.0.2.99", "known") == 0.0
    tries.give_back("192.0.2.1")
    assert tries.take("192.0.2.99") == 0.0
    assert tries.take("192.0.2.99") > 0
    clock.now += 6
    assert tries.take("192.0.2.99") == 0.0


# --- where the pages may be reached


def problems(host: str, published: str = "", cert: str = "", key: str = "") -> list[str]:
    return list(Exposure(host, published, cert, key).problems(f"HTTP_HOST={host}", "faces"))


@pytest.mark.parametrize(
    ("host", "published", "sound"),
    [
        ("127.0.0.1", "", True),
        ("::1", "", True),
        ("localhost", "0.0.0.0", True),  # nothing that is published could lead there
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "", False),
        ("0.0.0.0", "0.0.0.0", False),
        ("::", "192.0.2.7", False),
        ("gallery.example", "", False),
        ("::ffff:192.0.2.7", "", False),
    ],
)
def test_whoever_is_reached_beyond_loopback_needs_a_certificate(
    tmp_path: Path, host: str, published: str, sound: bool
) -> None:
    found = problems(host, published)
    assert len(found) == (0 if sound else 1)
    assert all("needs HTTP_CERT and HTTP_KEY, because faces would cross" in text for text in found)
    own = Authority(tmp_path).issue("gallery")
    assert problems(host, published, str(own.cert), str(own.key)) == []
    assert "go together" in problems("127.0.0.1", "", str(own.cert))[0]
    assert "cannot be used" in problems("127.0.0.1", "", str(own.key), str(own.cert))[0]
