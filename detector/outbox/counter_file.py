"""The books' second place: a small file that outlives the database, and a full disk.

Two slots of one block each, written in turn, each with a serial number and a CRC: a write that was
torn leaves the other one. The file has its size from the start, so a full disk does not stop it.
It is not fsynced: it is for `kill -9`, damage and full disks; after a power cut the database, whose
commits are on the disk, is right.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

SLOT = 4096  # bytes, of which JSON may take all but the CRC


class CounterFile:
    """Use: `write(books)` after each change; `last` is what was written before a start."""

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
        """Keep the books; an OSError is for the caller, who has them in the database, too."""
        text = json.dumps({"serial": self._serial + 1, "books": books}).encode()
        crc = zlib.crc32(text).to_bytes(4, "big")
        slot = (crc + text).ljust(SLOT, b"\0")
        if len(slot) > SLOT:
            raise OSError(f"the books are {len(text)} bytes, more than fit")
        self._serial += 1
        _write(self._fd, slot, SLOT * (self._serial % 2))

    def close(self) -> None:
        os.close(self._fd)


def read_counters(path: Path) -> dict[str, Any] | None:
    """What was written last, by whoever has the ledger, perhaps at this moment."""
    if not path.exists():
        return None
    newest = _newest(path.read_bytes())
    return newest["books"] if newest else None


def pick_latest(
    ledger: dict[str, Any] | None, kept: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The books that hold, of the ledger's and those that the database kept.

    Of the same commit, the ledger knows what came after it. A database that is behind the ledger
    has forgotten commits: which faces those were about, nobody knows, so all that were captured
    since are counted as damaged, though the bucket may have some of them.
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
    """All of it: a disk that is filling up takes a part, and says so only at the next try."""
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
