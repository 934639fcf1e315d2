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


class Ledger:
    """Use: `write(books)` after each change; `last` is what was written before a start."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        content = os.pread(self._fd, 2 * SLOT, 0)
        if len(content) < 2 * SLOT:
            os.pwrite(self._fd, content.ljust(2 * SLOT, b"\0"), 0)
        slots = [_parse(content[at : at + SLOT]) for at in (0, SLOT)]
        newest = max(slots, key=lambda slot: slot["serial"] if slot else -1)
        self.last: dict[str, Any] | None = newest["books"] if newest else None
        self._serial = newest["serial"] if newest else 0

    def write(self, books: dict[str, Any]) -> None:
        """Keep the books; an OSError is for the caller, who has them in the database, too."""
        self._serial += 1
        text = json.dumps({"serial": self._serial, "books": books}).encode()
        crc = zlib.crc32(text).to_bytes(4, "big")
        os.pwrite(self._fd, (crc + text).ljust(SLOT, b"\0"), SLOT * (self._serial % 2))

    def close(self) -> None:
        os.close(self._fd)


def _parse(slot: bytes) -> dict[str, Any] | None:
    text = slot[4:].rstrip(b"\0")
    if not text or zlib.crc32(text).to_bytes(4, "big") != slot[:4]:
        return None
    parsed: dict[str, Any] = json.loads(text)
    return parsed
