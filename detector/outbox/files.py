"""The files of one outbox: lock, database, counter file, and what replaces a damaged database.

Call all but `lock` and `save` from one worker thread.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from common.runtime.logs import StateLogger
from common.settings import SettingsError
from detector.outbox.counter_file import CounterFile
from detector.outbox.database import (
    OtherVersion,
    OutboxChange,
    OutboxDatabase,
    OutboxEntry,
    OutboxPicture,
    Unwritable,
)
from detector.outbox.recovery import move_aside, rescue

log = logging.getLogger(__name__)

RESERVE = 8 * 1024 * 1024  # bytes, twice what SQLite lets its log grow to before it is brought in
_FULL = (errno.ENOSPC, errno.EDQUOT)


class OutboxFiles:
    """Call `lock`, then `load`; if that or another call raises Damaged, `rescue` and `replace`.

    Raises (all methods but `save`): Unwritable, and Damaged if they read or write the database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aside = path.with_suffix(".damaged")
        self._rescued = path.with_suffix(".rescued")
        self._trouble = StateLogger(log, f"outbox {path}: the counter file")
        self._outbox: OutboxDatabase | None = None
        self._counters: CounterFile
        self._reserve: int | None = None
        self.locked: int | None = None

    def lock(self) -> dict[str, Any] | None:
        """Lock the outbox for this detector; returns the accounts in the counter file.

        Raises:
            SettingsError: the folder cannot be written, or another detector has it.
        """
        with _raise_for_person(self.path):
            if self.locked is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # The lock is the kernel's, and ends with the process.
                fd = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._counters = CounterFile(self.path.with_suffix(".books"))
                except BaseException:
                    os.close(fd)
                    raise
                self.locked = fd
        return self._counters.last

    def load(self) -> tuple[list[OutboxEntry], dict[str, Any] | None]:
        """The entries of the database, and its accounts.

        Raises:
            SettingsError: it cannot be written, or is of another version.
        """
        with _raise_for_person(self.path):
            if not self.path.exists():
                move_aside(self._rescued, self.path)  # a rescue was killed before its last step
            self._outbox = OutboxDatabase(self.path)
            self._fill_reserve()
            return self._outbox.entries(), self._outbox.books()

    def commit(self, change: OutboxChange, books: dict[str, Any]) -> None:
        """As `OutboxDatabase.commit`; on a full disk the reserve still lets faces leave."""
        try:
            self._open.commit(change, books)
        except Unwritable as error:
            if error.reason != "disk_full" or change.added or self._reserve is None:
                raise
            os.ftruncate(self._reserve, 0)
            try:
                self._open.commit(change, books)
                self._open.checkpoint()
            finally:
                self._fill_reserve()

    def _fill_reserve(self) -> None:
        """Reserve space, so that a full disk can be emptied: SQLite writes to delete a face."""
        with contextlib.suppress(OSError):  # the disk is full: go without
            if self._reserve is None:
                path = self.path.with_suffix(".reserve")
                self._reserve = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # Not all of a small disk, or SQLite's log could never be checkpointed.
            disk = os.fstatvfs(self._reserve)
            os.posix_fallocate(self._reserve, 0, min(RESERVE, disk.f_blocks * disk.f_frsize // 2))

    def read(self, seqs: Iterable[int]) -> dict[int, OutboxPicture | None]:
        return self._open.read(seqs)

    def rescue(
        self, wanted: Container[int] | None
    ) -> tuple[list[OutboxEntry], dict[str, Any] | None]:
        """Copy what can be read of the damaged database into a new one beside it.

        The damaged one stays in its place until `replace`, so a kill or a full disk meanwhile
        loses nothing.
        """
        with _is_transient():
            return rescue(self.path, self._rescued, wanted)

    def replace(self, books: dict[str, Any]) -> None:
        """Give the new database these accounts, and the place of the damaged one."""
        with _is_transient():
            with contextlib.closing(OutboxDatabase(self._rescued)) as fresh:
                fresh.commit(OutboxChange(), books)
            if self._outbox is not None:
                self._outbox.close()
            move_aside(self.path, self.aside)
            move_aside(self._rescued, self.path)
            self._outbox = OutboxDatabase(self.path)
            self._fill_reserve()

    def save(self, books: dict[str, Any]) -> None:
        """Write the accounts into the counter file."""
        try:
            self._counters.write(books)
        except OSError as error:
            self._trouble.begin("disk_failed", f"cannot be written: {error}")
        else:
            if self._trouble.reason is not None:
                self._trouble.end("can be written again")

    def close(self) -> None:
        self._open.close()
        self._counters.close()

    @property
    def _open(self) -> OutboxDatabase:
        assert self._outbox is not None  # noqa: S101 - `load` or `replace` came first
        return self._outbox


@contextlib.contextmanager
def _is_transient() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explain_unwritable(error) from None


@contextlib.contextmanager
def _raise_for_person(path: Path) -> Iterator[None]:
    """Turn errors that only a person can fix into SettingsError; a full disk may recover."""
    try:
        yield
    except BlockingIOError:
        text = f"OUTBOX_PATH: another detector uses {path}: set another CAMERA_NAME"
        raise SettingsError([text]) from None
    except OtherVersion as error:
        text = f"OUTBOX_PATH: {path} has an unknown version: {error}; move it elsewhere"
        raise SettingsError([text]) from None
    except OSError as error:
        if error.errno in _FULL:
            raise _explain_unwritable(error) from None
        text = f"OUTBOX_PATH={path.parent} cannot be written: {error.strerror}"
        raise SettingsError([text]) from None


def _explain_unwritable(error: OSError) -> Unwritable:
    return Unwritable("disk_full" if error.errno in _FULL else "disk_failed", str(error))
