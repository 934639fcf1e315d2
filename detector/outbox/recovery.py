"""Recovers faces from a damaged outbox: rows that plain SQL can still read go into a new one.

SQLite's own `.recover` is in no library. Each row has a checksum (`seal`), and each picture its
digest, so a face that is read is a face as it was written. The caller counts the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import sqlite3
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from detector.outbox.database import (
    Damaged,
    OutboxChange,
    OutboxDatabase,
    OutboxEntry,
    OutboxPicture,
    connect,
    read_accounts,
    to_face,
)

AT_A_TIME = 100  # faces per commit
_HEADER = 100  # bytes: https://www.sqlite.org/fileformat2.html#the_database_header
# A message that quotes damaged bytes cannot be decoded, by Python's sqlite3.
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


def move_aside(source: Path, target: Path) -> None:
    """Rename a database that nobody has open; what was there is replaced.

    The log goes first: should we be killed in between, no database is left with another's log.
    """
    for path in (source, target):
        Path(f"{path}-shm").unlink(missing_ok=True)
    log = Path(f"{source}-wal")
    if log.exists():
        log.replace(f"{target}-wal")
    elif source.exists():
        Path(f"{target}-wal").unlink(missing_ok=True)
    if source.exists():
        source.replace(target)


def rescue(
    path: Path, into: Path, wanted: Container[int] | None
) -> tuple[list[OutboxEntry], dict[str, Any] | None]:
    """Copy the faces that can still be read from a damaged database into a new one.

    wanted: the only `seq` to copy; None for all. Returns the faces that were copied, and the books
    of the damaged database, or None if they cannot be read. The new database has no books.

    Raises:
        Unwritable, OSError: the disk does not take them; try again.
    """
    for suffix in ("", "-wal", "-shm"):
        Path(f"{into}{suffix}").unlink(missing_ok=True)
    if path.stat().st_size < _HEADER:
        os.truncate(path, _HEADER)  # SQLite deletes the log of an empty database, unread
    saved: list[OutboxEntry] = []
    with (
        contextlib.closing(connect(path)) as damaged,
        contextlib.closing(OutboxDatabase(into)) as fresh,
    ):
        books = None
        with contextlib.suppress(*_UNREADABLE, Damaged):
            # Without it SQLite reads nothing of a file that is shorter than its header says.
            damaged.execute("PRAGMA writable_schema=ON")
            books = read_accounts(damaged)
        for batch in _batches(_readable(damaged, wanted)):
            fresh.commit(OutboxChange(added=batch), None)
            saved += [entry for entry, _ in batch]
    return saved, books


def _readable(
    db: sqlite3.Connection, wanted: Container[int] | None
) -> Iterator[tuple[OutboxEntry, OutboxPicture]]:
    """Each sound face, oldest first; marked `final`, since it may have been published."""
    for seq in _candidates(db):
        if wanted is None or seq in wanted:
            found = None
            with contextlib.suppress(*_UNREADABLE):  # this face only
                found = to_face(db, seq)
            if found is not None:
                yield dataclasses.replace(found[0], final=True), found[1]


def _candidates(db: sqlite3.Connection) -> Iterable[int]:
    """Each `seq` that may be there, in order.

    A damaged page ends a scan. So each tree is scanned from both ends, and the numbers between the
    smallest and the largest are tried one by one.
    """
    seqs: set[int] = set()
    for tree in ("faces NOT INDEXED", "faces INDEXED BY sqlite_autoindex_faces_1", "pictures"):
        column = "id" if "INDEXED BY" in tree else "seq"
        for order in ("ASC", "DESC"):
            with contextlib.suppress(*_UNREADABLE):
                query = f"SELECT seq FROM {tree} ORDER BY {column} {order}"  # noqa: S608
                for (seq,) in db.execute(query):
                    seqs.add(seq)
    seqs = {seq for seq in seqs if isinstance(seq, int)}
    if seqs and max(seqs) - min(seqs) < 10 * len(seqs) + 10_000:
        return range(min(seqs), max(seqs) + 1)
    return sorted(seqs)


def _batches(
    faces: Iterator[tuple[OutboxEntry, OutboxPicture]],
) -> Iterator[list[tuple[OutboxEntry, OutboxPicture]]]:
    while batch := list(itertools.islice(faces, AT_A_TIME)):
        yield batch
