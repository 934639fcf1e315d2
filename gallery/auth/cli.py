"""`python -m gallery --add-user NAME`: asks for a password, and prints the line for its user."""

from __future__ import annotations

import argparse
import getpass
import signal
import sys
from typing import cast

from gallery.auth import passwords
from gallery.auth.users import NAME, ROLES, Account, Role, User

REFUSED = 2  # exit code


def add_user(_: object, arguments: argparse.Namespace) -> int:
    """A command; the only thing on standard output is the line for GALLERY_USERS."""
    names, role = arguments.add_user, cast(Role, arguments.role or "admin")
    if len(names) != 1 or not NAME.fullmatch(names[0]):
        return _refuse(
            "a name has 1 to 63 characters of a-z, 0-9 and . _ @ -, a letter or digit first"
        )
    if role not in ROLES:
        return _refuse(f"--role must be one of {', '.join(ROLES)}")
    try:
        password = _ask_password() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError:
        return _refuse("the password is not valid UTF-8")
    except (EOFError, KeyboardInterrupt):
        return _refuse("cancelled")
    problem = "the passwords differ" if password is None else passwords.problem(password)
    if password is None or problem:
        return _refuse(f"{problem}; no user was created")
    account = Account(User(names[0], role), passwords.hash_password(password))
    print(account.line)  # noqa: T201 - what the command is for
    _say("add this line to GALLERY_USERS, or to the file that GALLERY_USERS_FILE names, and start")
    _say("the gallery again; in a compose file itself, write $$ for each $")
    return 0


def _ask_password() -> str | None:
    """Ask for the password twice; returns None if the two entries differ."""
    # As an exception, Ctrl-C does not leave the terminal without its echo.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        password = getpass.getpass("password: ")
        return password if getpass.getpass("password again: ") == password else None
    finally:
        signal.signal(signal.SIGINT, before)


def _refuse(problem: str) -> int:
    _say(problem)
    return REFUSED


def _say(text: str) -> None:
    sys.stderr.write(f"gallery: {text}\n")
