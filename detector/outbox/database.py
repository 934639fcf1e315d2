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
import os
import sqlite3
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WAL_LIMIT = 16 * 1024 * 1024  # bytes of the write-ahead log that may stay on disk
_UNWRITABLE = {
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "disk_failed",
    sqlite3.SQLITE_READONLY: "disk_failed",
    sqlite3.SQLITE_CANTOPEN: "disk_failed",
    sqlite3.SQLITE_PERM: "disk_failed",
    sqlite3.SQLITE_BUSY: "disk_failed",
}

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
    # SQLite does not notice a byte that has changed on the disk: see `_seal`.
    """
    ALTER TABLE faces ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
    UPDATE faces SET seal = seal(seq, id, sha256, size, boot, ticks, wall, final, facts);
    ALTER TABLE books ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;
    UPDATE books SET seal = seal(json);
    """,
)
_NEWEST = 1000  # a schema beyond this number is damage, not the future
_SEALED = "seq, id, sha256, size, boot, ticks, wall, final, facts"


class Unwritable(Exception):
    """The disk cannot be written; nothing was saved. `reason`: disk_full or disk_failed."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Damaged(Exception):
    """The file is not, or no longer, a valid database."""


class OtherVersion(Exception):
    """The file is valid, but belongs to another version of this program."""


@dataclasses.dataclass(frozen=True, slots=True)
class OutboxEntry:
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
class OutboxPicture:
    """A face as it is sent."""

    png: bytes
    facts: dict[str, str]


@dataclasses.dataclass
class OutboxChange:
    """What one commit does, all or nothing."""

    added: list[tuple[OutboxEntry, OutboxPicture]] = dataclasses.field(default_factory=list)
    removed: list[int] = dataclasses.field(default_factory=list)  # by seq, as the next
    finals: list[tuple[int, dict[str, str]]] = dataclasses.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.finals)

    @property
    def size(self) -> int:
        """Bytes of the faces that come in."""
        return sum(entry.size for entry, _ in self.added)


class OutboxDatabase:
    """One camera's database.

    Raises (all methods): Damaged, Unwritable; when opened also OtherVersion, OSError.
    """

    def __init__(self, path: Path, look_only: bool = False) -> None:
        if not look_only:
            # The faces are nobody else's business; SQLite gives its other files the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            _check_log(path)
        with _translate_errors():
            self._db = connect(path)
            try:
                if not look_only:
                    self._db.execute("PRAGMA journal_mode=WAL")
                    self._db.execute("PRAGMA synchronous=FULL")
                    self._db.execute(f"PRAGMA journal_size_limit={WAL_LIMIT}")
                    self._migrate()
                self._check_version()
            except BaseException:
                self._db.close()
                raise

    def _migrate(self) -> None:
        for number, script in enumerate(MIGRATIONS[self._version :], self._version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def _check_version(self) -> None:
        version = self._version
        if not 0 <= version <= _NEWEST:
            raise Damaged(f"it claims to have schema {version}")
        if version != len(MIGRATIONS):
            raise OtherVersion(
                f"it has schema {version}, but this version supports {len(MIGRATIONS)}"
            )

    @property
    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def entries(self) -> list[OutboxEntry]:
        """All waiting faces, oldest first."""
        with _translate_errors():
            rows = self._db.execute(f"SELECT {_SEALED}, seal FROM faces ORDER BY seq")  # noqa: S608
            return [_entry(row) for row in rows]

    def books(self) -> dict[str, Any] | None:
        """What the last commit left of the books."""
        with _translate_errors():
            return read_accounts(self._db)

    def read(self, seqs: Iterable[int]) -> dict[int, OutboxPicture | None]:
        """Pictures by seq; None for one that is not as it was written, or cannot be read."""
        return {seq: self._read(seq) for seq in seqs}

    def _read(self, seq: int) -> OutboxPicture | None:
        try:
            with _translate_errors():
                found = to_face(self._db, seq)
        except Unwritable:
            return None  # a bad sector, under this one
        return None if found is None else found[1]

    def commit(self, change: OutboxChange, books: dict[str, Any] | None) -> None:
        """Do all of `change`, and keep the books that hold after it."""
        with _translate_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for entry, picture in change.added:
                    _insert(self._db, entry, picture)
                self._db.executemany(
                    "UPDATE faces SET facts = ?1, final = 1,"
                    " seal = seal(seq, id, sha256, size, boot, ticks, wall, 1, ?1) WHERE seq = ?2",
                    [(json.dumps(facts), seq) for seq, facts in change.finals],
                )
                seqs = [(seq,) for seq in change.removed]
                self._db.executemany("DELETE FROM faces WHERE seq = ?", seqs)
                self._db.executemany("DELETE FROM pictures WHERE seq = ?", seqs)
                if books is not None:
                    text = json.dumps(books)
                    self._db.execute("REPLACE INTO books VALUES (1, ?1, seal(?1))", (text,))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def checkpoint(self) -> None:
        """Bring the log into the database, and give its place on the disk back."""
        with _translate_errors():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._db.close()


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    """SQLite's errors in our own few words."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:
            raise  # not SQLite's word: we have used it wrongly
        reason = _UNWRITABLE.get(code & 0xFF)  # the primary code of an extended one
        if reason is not None:
            raise Unwritable(reason, str(error)) from None
        raise Damaged(str(error)) from None
    except UnicodeDecodeError as error:  # Python's, of a message that quotes damaged bytes
        raise Damaged(f"even SQLite's message about it cannot be read: {error}") from None


def _check_log(path: Path) -> None:
    """SQLite would delete the log of an empty file, though faces may be in it."""
    log = Path(f"{path}-wal")
    if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise Damaged("the file is empty, but its log is not")


def connect(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.text_factory = _text
    db.create_function("seal", -1, _seal)
    return db


def _text(data: bytes) -> str:
    return data.decode(errors="replace")  # damaged text has no seal that fits


def _seal(*values: object) -> int:
    """A checksum of a row: a changed byte must not make another face, nor other books."""
    return zlib.crc32(json.dumps(values).encode())


def _insert(db: sqlite3.Connection, entry: OutboxEntry, picture: OutboxPicture) -> None:
    values = (
        *(entry.seq, entry.id, entry.sha256, entry.size, entry.boot, entry.ticks, entry.wall),
        *(int(entry.final), json.dumps(picture.facts)),
    )
    db.execute(
        f"INSERT INTO faces ({_SEALED}, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (*values, _seal(*values)),
    )
    db.execute("INSERT INTO pictures VALUES (?, ?)", (entry.seq, picture.png))


def _entry(row: tuple[Any, ...]) -> OutboxEntry:
    *sealed, seal = row
    if _seal(*(None if isinstance(value, bytes) else value for value in sealed)) != seal:
        raise Damaged(f"the record of face {row[0]} has a wrong checksum")
    seq, id, sha256, size, boot, ticks, wall, final, _facts = sealed
    # A hundred thousand entries share one name of the boot.
    return OutboxEntry(seq, id, sha256, size, sys.intern(boot), ticks, wall, bool(final))


def read_accounts(db: sqlite3.Connection) -> dict[str, Any] | None:
    row = db.execute("SELECT json, seal FROM books").fetchone()
    if row is None:
        return None
    text, seal = row
    if not isinstance(text, str) or _seal(text) != seal:
        raise Damaged("its counts have a wrong checksum")
    return dict(json.loads(text))


def to_face(db: sqlite3.Connection, seq: int) -> tuple[OutboxEntry, OutboxPicture] | None:
    """One face, if all of it is as it was written."""
    query = f"SELECT {_SEALED}, seal, png FROM faces JOIN pictures USING (seq) WHERE seq = ?"  # noqa: S608
    row = db.execute(query, (seq,)).fetchone()
    if row is None:
        return None
    try:
        entry = _entry(row[:-1])
    except Damaged:
        return None
    png = row[-1]
    if not isinstance(png, bytes) or hashlib.sha256(png).hexdigest() != entry.sha256:
        return None
    return entry, OutboxPicture(png, json.loads(row[-3]))
