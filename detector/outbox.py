"""The outbox: faces on disk from the moment they are encoded until their fate is known.

SQLite in WAL mode with `synchronous=FULL`: each commit is on the disk when it returns
(https://www.sqlite.org/pragma.html#pragma_synchronous), so what a power cut can cost is only what
was not committed yet. NORMAL would lose commits of the last seconds, of faces that were perhaps
published already. The price, one fsync per commit, is shared by all faces that come meanwhile.

Not thread-safe: one thread has it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WAL_LIMIT = 16 * 1024 * 1024  # bytes of the write-ahead log that may stay on disk
_UNWRITABLE = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "disk_failed",
    sqlite3.SQLITE_READONLY: "disk_failed",
    sqlite3.SQLITE_CANTOPEN: "disk_failed",
    sqlite3.SQLITE_BUSY: "disk_failed",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)

# Step by step, from an empty file to today's schema; `user_version` counts the steps done.
# A step that has been released is never changed.
MIGRATIONS = (
    """
    CREATE TABLE faces (
        seq INTEGER PRIMARY KEY,    -- order of capture
        id TEXT NOT NULL UNIQUE,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,      -- bytes of the picture
        boot TEXT NOT NULL,         -- boot id of the kernel
        ticks REAL NOT NULL,        -- CLOCK_BOOTTIME at capture, seconds
        wall REAL NOT NULL,         -- seconds since 1970 at capture, as the clock said
        facts TEXT NOT NULL         -- JSON
    );
    -- Apart, so that a hundred thousand faces are listed without reading their pictures.
    CREATE TABLE pictures (seq INTEGER PRIMARY KEY, png BLOB NOT NULL);
    CREATE TABLE books (one INTEGER PRIMARY KEY CHECK (one = 1), json TEXT NOT NULL);
    """,
    # What was published once keeps the time of capture that it was published with.
    "ALTER TABLE faces ADD COLUMN final INTEGER NOT NULL DEFAULT 0;",
)


class Unwritable(Exception):
    """The commit failed, and nothing of it was kept. `reason`: disk_full or disk_failed."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Damaged(Exception):
    """The file is no sound database (any more)."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a waiting face without its picture; times as in the schema."""

    seq: int
    id: str
    sha256: str
    size: int
    boot: str
    ticks: float
    wall: float
    final: bool


@dataclasses.dataclass(frozen=True)
class Picture:
    """A face as it is sent."""

    png: bytes
    facts: dict[str, str]


@dataclasses.dataclass
class Change:
    """What one commit does, all or nothing."""

    added: list[tuple[Entry, Picture]] = dataclasses.field(default_factory=list)
    removed: list[int] = dataclasses.field(default_factory=list)  # by seq, as the next
    finals: list[tuple[int, dict[str, str]]] = dataclasses.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.finals)

    def followed_by(self, later: Change) -> Change:
        return Change(
            self.added + later.added, self.removed + later.removed, self.finals + later.finals
        )


class Outbox:
    """One camera's database.

    Raises (all methods): Damaged, Unwritable.
    """

    def __init__(self, path: Path, look_only: bool = False) -> None:
        self.path = path
        with _translated():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            if look_only:
                return
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(f"PRAGMA journal_size_limit={WAL_LIMIT}")
            self._migrate()

    def _migrate(self) -> None:
        done = self._db.execute("PRAGMA user_version").fetchone()[0]
        if done > len(MIGRATIONS):
            raise Damaged(f"it was written by a newer version (schema {done})")
        for number, script in enumerate(MIGRATIONS[done:], done + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def entries(self) -> list[Entry]:
        """All waiting faces, oldest first."""
        query = "SELECT seq, id, sha256, size, boot, ticks, wall, final FROM faces ORDER BY seq"
        with _translated():
            return [_entry(row) for row in self._db.execute(query)]

    def books(self) -> dict[str, Any] | None:
        """What the last commit left of the books."""
        with _translated():
            row = self._db.execute("SELECT json FROM books").fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def read(self, seqs: Iterable[int]) -> dict[int, Picture | None]:
        """Pictures by seq; None for one whose bytes are not those that were written."""
        with _translated():
            return {seq: _picture(self._db, seq) for seq in seqs}

    def commit(self, change: Change, books: dict[str, Any]) -> None:
        """Do all of `change`, and keep the books that hold after it."""
        with _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for entry, picture in change.added:
                    values = (*dataclasses.astuple(entry), json.dumps(picture.facts))
                    self._db.execute(
                        "INSERT INTO faces (seq, id, sha256, size, boot, ticks, wall, final, facts)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        values,
                    )
                    self._db.execute("INSERT INTO pictures VALUES (?, ?)", (entry.seq, picture.png))
                self._db.executemany(
                    "UPDATE faces SET facts = ?, final = 1 WHERE seq = ?",
                    [(json.dumps(facts), seq) for seq, facts in change.finals],
                )
                seqs = [(seq,) for seq in change.removed]
                self._db.executemany("DELETE FROM faces WHERE seq = ?", seqs)
                self._db.executemany("DELETE FROM pictures WHERE seq = ?", seqs)
                self._db.execute("REPLACE INTO books VALUES (1, ?)", (json.dumps(books),))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self._db.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors in our own few words."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one of an extended
        if code in _UNWRITABLE:
            raise Unwritable(_UNWRITABLE[code], str(error)) from None
        if code in _DAMAGED:
            raise Damaged(str(error)) from None
        raise


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, id, sha256, size, boot, ticks, wall, final = row
    return Entry(seq, id, sha256, size, boot, ticks, wall, bool(final))


def _picture(db: sqlite3.Connection, seq: int) -> Picture | None:
    query = "SELECT sha256, facts, png FROM faces JOIN pictures USING (seq) WHERE seq = ?"
    row = db.execute(query, (seq,)).fetchone()
    if row is None or hashlib.sha256(row[2]).hexdigest() != row[0]:
        return None
    return Picture(row[2], json.loads(row[1]))


def salvage(path: Path) -> Iterator[tuple[Entry, Picture]]:
    """What can still be read from a damaged database, oldest first, each with its digest checked.

    Goes row by row, from both ends of the table, since a damaged page ends a scan.
    """
    # What is salvaged may have been published, so its time of capture stays as it is.
    query = "SELECT seq, id, sha256, size, boot, ticks, wall, 1 FROM faces ORDER BY seq "
    rows: dict[int, tuple[Any, ...]] = {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.DatabaseError):  # what came before it is kept
                for row in db.execute(query + order):
                    rows[row[0]] = row
        for seq in sorted(rows):
            try:
                picture = _picture(db, seq)
            except (sqlite3.DatabaseError, ValueError):
                continue  # this one cannot be read; who calls counts what is missing
            if picture is not None:
                yield _entry(rows[seq]), picture
