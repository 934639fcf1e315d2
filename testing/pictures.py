"""Pictures for tests: small PNGs of known pixels, and where the real clips and stills are."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

# Real clips and stills, where there are any; none of them belongs to the project.
DATA = Path(os.environ.get("TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def png(width: int = 8, height: int = 8, seed: int = 0, claim: tuple[int, int] = (0, 0)) -> bytes:
    """A small grey PNG whose pixels depend on `seed`; its header may `claim` another size."""
    rows = b"".join(
        b"\0" + bytes((seed + x * y) % 256 for x in range(width)) for y in range(height)
    )
    columns, lines = claim if any(claim) else (width, height)
    header = struct.pack(">IIBBBBB", columns, lines, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
