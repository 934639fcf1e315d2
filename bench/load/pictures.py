"""Sound PNGs of noise, of a size that is asked for."""

from __future__ import annotations

import random
import struct
import zlib

SIDE = 100  # pixels


def picture(kilobytes: float, seed: int) -> bytes:
    """A PNG of noise, 100 pixels wide and of about this size; the same for the same seed."""
    rows = max(1, round(kilobytes * 1000 / (3 * SIDE + 1)))
    noise = random.Random(seed)
    body = b"".join(b"\0" + noise.randbytes(3 * SIDE) for _ in range(rows))
    header = struct.pack(">IIBBBBB", SIDE, rows, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(body, 0)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
