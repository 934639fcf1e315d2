"""Files that are whole at any moment, whoever is killed; and one enrolment at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from common.settings import SettingsError
from enroll.words import say

PUBLIC, SECRET = 0o644, 0o600


def write(path: Path, content: str, mode: int) -> None:
    """Replace a file by one rename, on disk when this returns. The caller holds the lock.

    Raises:
        SettingsError: its folder cannot be written to.
    """
    # Always the same name, so that what a kill leaves behind is overwritten by the next run.
    new = path.with_name(f".{path.name}.new")
    try:
        make(path.parent)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, mode)
            _give_to_owner_of(path.parent, descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise SettingsError([f"{path} cannot be written: {error.strerror}"]) from None


def read(path: Path) -> str | None:
    """The file's text, None if there is none.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from None


def make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the one lock of `folder`; whoever comes second waits.

    Raises:
        SettingsError: the folder cannot be written to.
    """
    try:
        make(folder)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise SettingsError([f"{folder} cannot be written: {error.strerror}"]) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another enrolment is running; waiting for it to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """What root makes in the broker's folder must be the broker's to read."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
