"""The first start without GALLERY_USERS: creates a user, and logs the password once."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path

from common.settings import SettingsError
from gallery.auth import passwords
from gallery.auth.users import Account, User, Users, parse

log = logging.getLogger(__name__)

FILE = "users.txt"
_ABOUT = (
    "# Created because GALLERY_USERS was not set. If you delete this file, it is created again.\n"
)


def first_user(folder: Path) -> Users:
    """The users of `users.txt` in `folder`; if it does not exist, create it with the user `admin`.

    The password is logged once, when it is created, and appears nowhere else.

    Raises:
        SettingsError: the file cannot be read, used or written.
    """
    path = folder / FILE
    try:
        if not path.exists():
            _create_user(path)
        return parse(path.read_text())
    except ValueError as error:  # of no user, or of no UTF-8
        raise SettingsError([f"{path} {error}"]) from None
    except OSError as error:
        remedy = f"set GALLERY_DATA to a folder that user {os.geteuid()} may write to"
        raise SettingsError([f"{path}: {error.strerror}; {remedy}"]) from None


def _create_user(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    password = passwords.generate_password()
    account = Account(User("admin", "admin"), passwords.hash_password(password))
    if not _write_password(path, f"{_ABOUT}{account.line}\n"):
        return
    log.warning(
        "GALLERY_USERS is not set: created the user admin with the password %s (shown only once;"
        " its hash is in %s; if you lose it, delete that file and restart)",
        password,
        path,
    )


def _write_password(path: Path, text: str) -> bool:
    """Write a file whole and for its owner alone, or not at all; False if there is one already."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        os.link(draft, path)  # which, other than a rename, never takes another's place
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    return True
