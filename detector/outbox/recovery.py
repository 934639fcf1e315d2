"""What to do with a damaged outbox: save what can still be read, and take its place.

SQLite's own `.recover` is in no library. Here each face carries its own proof (a seal over its
record, a digest of its picture), so whatever is found can be believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sqlite3
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from detector.outbox.database import (
    MIGRATIONS,
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
_PAGE = 4096  # bytes, SQLite's own default
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
    """Copy what can still be read from a damaged database into a new one, without books.

    Only faces whose seq is in `wanted`, if that is given. Returns them, and the damaged one's
    books, if they can be read.

    Raises:
        Unwritable, OSError: they could not be written; to be tried again.
    """
    for suffix in ("", "-wal", "-shm"):
        Path(f"{into}{suffix}").unlink(missing_ok=True)
    _mend_first_page(path)
    with contextlib.closing(connect(path)) as damaged:
        kept = None
        with contextlib.suppress(*_UNREADABLE, Damaged):
            kept = read_accounts(damaged)
        saved: list[OutboxEntry] = []
        with contextlib.closing(OutboxDatabase(into)) as fresh:
            for batch in _batches(_readable(damaged, wanted)):
                fresh.commit(OutboxChange(added=batch), None)
                saved += [entry for entry, _ in batch]
    return saved, kept


def _mend_first_page(path: Path) -> None:
    """Give the file the header and schema that each outbox has, whatever stands there now."""
    pages = max(1, path.stat().st_size // _PAGE)
    with contextlib.closing(connect(":memory:")) as model:
        for script in MIGRATIONS:
            model.executescript(script)
        model.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        page = bytearray(model.serialize()[:_PAGE])
    # https://www.sqlite.org/fileformat2.html#the_database_header
    page[18:20] = b"\2\2"  # WAL
    page[28:32] = pages.to_bytes(4, "big")
    page[32:40] = bytes(8)  # no free pages
    page[92:96] = page[24:28]  # the number of pages is right
    with path.open("r+b") as file:
        file.write(page)


def _readable(
    db: sqlite3.Connection, wanted: Container[int] | None
) -> Iterator[tuple[OutboxEntry, OutboxPicture]]:
    """Each sound face, oldest first; final, since it may have been published."""
    for seq in _candidates(db):
        if wanted is None or seq in wanted:
            found = None
            with contextlib.suppress(*_UNREADABLE):  # this one; who calls counts what is missing
                found = to_face(db, seq)
            if found is not None:
                yield dataclasses.replace(found[0], final=True), found[1]


def _candidates(db: sqlite3.Connection) -> Iterable[int]:
    """Every seq that may be there. A damaged page ends a scan, so all trees are scanned from both
    ends, and what lies between is tried one by one."""
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
