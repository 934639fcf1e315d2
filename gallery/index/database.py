"""The index's file in use: a connection for each thread, one writer at a time, and its faults."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common.store.base import StoreError
from gallery.index import schema


class IndexTrouble(StoreError):
    """The index cannot be used right now; `reason`: disk or damaged."""


class Database:
    """`count`: rows of the index.

    Every method raises IndexTrouble where the disk, or the file on it, does not do its part.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._writing = threading.Lock()
        self._edition = 0  # of the file: a damaged one is replaced
        schema.prepare(path)
        self.count = int(self.rows(schema.ALL)[0][0])

    def rows(self, query: str, values: Iterable[Any] = ()) -> list[Any]:
        with self.reading() as db:
            return db.execute(query, list(values)).fetchall()

    @contextlib.contextmanager
    def changing(self) -> Iterator[schema.Connection]:
        """One transaction."""
        with self._writing, self.reading() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                count = db.execute(schema.ALL).fetchone()[0]
                db.execute("COMMIT")
                self.count = int(count)
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[schema.Connection]:
        """This thread's connection. A damaged file is replaced."""
        try:
            yield self._connection()
        except sqlite3.Error as error:
            if not schema.is_damaged(error):
                raise IndexTrouble("disk", f"GALLERY_DATA: {self._path}: {error}") from None
            with contextlib.suppress(sqlite3.Error, OSError):
                schema.discard(self._path)
                schema.prepare(self._path)
            self._edition += 1
            self.count = 0
            text = f"{self._path} was damaged ({error}); it is being rebuilt"
            raise IndexTrouble("damaged", text) from None

    def _connection(self) -> schema.Connection:
        if getattr(self._own, "edition", None) != self._edition:
            self._own.db = schema.connect(self._path)
            self._own.edition = self._edition
        db: schema.Connection = self._own.db
        return db
