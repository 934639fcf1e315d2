"""The file that lets sessions live on when the gallery starts again; it may be thrown away."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
import threading
from pathlib import Path

from common.runtime.logs import RateLimitedLogger

log = logging.getLogger(__name__)

Row = tuple[str, str, str, float, float]  # digest, name, mark, made, seen
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, mark TEXT NOT NULL, made REAL NOT NULL,
    seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (one INTEGER PRIMARY KEY CHECK (one = 1), bytes BLOB NOT NULL);
"""


class SessionStore:
    """Sessions in SQLite. If the disk does not work, they are kept in memory only."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # to close it under a statement would end the process
        self._limited_log = RateLimitedLogger(log)
        try:
            self._database = _open_database(path)
        except sqlite3.DatabaseError:  # damaged
            with contextlib.suppress(OSError):
                path.unlink()
            try:
                self._database = _open_database(path)
            except (sqlite3.Error, OSError) as error:
                self._database = self._none(error)
        except OSError as error:
            self._database = self._none(error)

    def _none(self, error: Exception) -> sqlite3.Connection:
        log.warning("sessions will end with this process, because they cannot be saved: %s", error)
        database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        database.executescript(_SCHEMA)
        return database

    def rows(self) -> list[Row]:
        return self._database.execute(
            "SELECT digest, name, mark, made, seen FROM sessions"
        ).fetchall()

    def secret(self) -> bytes:
        """Random bytes of this file's own, the same each time."""
        self._write("INSERT OR IGNORE INTO secret VALUES (1, ?)", secrets.token_bytes(32))
        found = self._database.execute("SELECT bytes FROM secret").fetchone()
        return bytes(found[0]) if found else secrets.token_bytes(32)

    def put(self, row: Row) -> None:
        self._write("REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", *row)

    def seen(self, digest: str, at: float) -> None:
        self._write("UPDATE sessions SET seen = ? WHERE digest = ?", at, digest)

    def drop(self, digest: str) -> None:
        self._write("DELETE FROM sessions WHERE digest = ?", digest)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _write(self, statement: str, *values: object) -> None:
        try:
            with self._lock:
                self._database.execute(statement, values)
        except sqlite3.Error as error:
            self._limited_log.warn("sessions", f"changes to the sessions cannot be saved: {error}")


def _open_database(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's own mode would be wider
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(_SCHEMA)
        database.execute("SELECT digest, name, mark, made, seen FROM sessions").fetchall()
    except sqlite3.Error:
        database.close()
        raise
    return database
