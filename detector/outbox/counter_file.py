"""A second copy of the accounts: a small file that survives a damaged database and a full disk.

Two slots of one block each are written in turn, each with a serial number and a CRC, so a torn
write leaves the other slot. The file has its full size from the start, so a full disk cannot stop
it. It is not fsynced: it helps with `kill -9`, damage and full disks. After a power cut the
database is right, whose commits are on the disk.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

SLOT = 4096  # bytes, of which JSON may take all but the CRC


class CounterFile:
    """Call `write(books)` after each change; `last` is what an earlier run wrote."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        content = os.pread(self._fd, 2 * SLOT, 0)
        if len(content) < 2 * SLOT:
            try:
                _write(self._fd, content.ljust(2 * SLOT, b"\0"), 0)
            except OSError:
                os.close(self._fd)
                raise
        newest = _newest(content)
        self.last: dict[str, Any] | None = newest["books"] if newest else None
        self._serial = newest["serial"] if newest else 0

    def write(self, books: dict[str, Any]) -> None:
        """Save the accounts. Raises OSError; the database still has them then."""
        text = json.dumps({"serial": self._serial + 1, "books": books}).encode()
        crc = zlib.crc32(text).to_bytes(4, "big")
        slot = (crc + text).ljust(SLOT, b"\0")
        if len(slot) > SLOT:
            raise OSError(f"the counts take {len(text)} bytes, more than fit")
        self._serial += 1
        _write(self._fd, slot, SLOT * (self._serial % 2))

    def close(self) -> None:
        os.close(self._fd)


def read_counters(path: Path) -> dict[str, Any] | None:
    """The accounts written last, perhaps by a detector that is running; None without a file."""
    if not path.exists():
        return None
    newest = _newest(path.read_bytes())
    return newest["books"] if newest else None


def pick_latest(
    ledger: dict[str, Any] | None, kept: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The accounts that are right, of those in the counter file and those in the database.

    Of the same commit, the counter file also has what came after it. A database that is behind has
    lost commits. Which faces they were about is unknown, so all faces captured since then count as
    damaged, though the bucket may have some of them.
    """
    if ledger is None or kept is None:
        return ledger or kept
    if kept["commits"] > ledger["commits"]:
        return kept
    if kept["commits"] == ledger["commits"]:
        return ledger
    forgotten = max(0, ledger["captured"] - kept["captured"])
    dropped = dict(kept["dropped"])
    if forgotten:
        dropped["damaged"] = dropped.get("damaged", 0) + forgotten
    same = {"captured": kept["captured"] + forgotten, "dropped": dropped}
    return {**kept, **same, "commits": ledger["commits"]}


def _write(fd: int, data: bytes, at: int) -> None:
    """Write all of it: a disk that is filling up takes a part, and fails only at the next try."""
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], at + done)


def _newest(content: bytes) -> dict[str, Any] | None:
    slots = [_parse(content[at : at + SLOT]) for at in (0, SLOT)]
    return max((slot for slot in slots if slot), key=lambda slot: slot["serial"], default=None)


def _parse(slot: bytes) -> dict[str, Any] | None:
    text = slot[4:].rstrip(b"\0")
    if not text or zlib.crc32(text).to_bytes(4, "big") != slot[:4]:
        return None
    parsed: dict[str, Any] = json.loads(text)
    return parsed
