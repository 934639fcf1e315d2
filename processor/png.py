"""Is it a PNG that every reader will open? Signature, chunks, CRCs, sizes, and its image data.

After the PNG specification (third edition, W3C, 2025): 5.2 signature, 5.3 chunk layout, 5.6 chunk
ordering, 11.2.1 IHDR, 10.1 compression. Memory stays small whatever the header claims.
"""

from __future__ import annotations

import struct
import zlib

MAX_SIDE = 8192  # pixels
MAX_PIXELS = 16_777_216
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Adam7 (8.1): first column and row, and steps between columns and rows, of each pass.
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_STEP = 64 * 1024  # bytes inflated at a time


class BadImage(ValueError):
    """Not a PNG to store. `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def check(data: bytes) -> tuple[int, int]:
    """Width and height, in pixels, of a PNG that is whole and sound.

    Raises:
        BadImage: empty, not_png, truncated, bad_crc, bad_structure, dimensions or bad_data.
    """
    if not data:
        raise BadImage("empty", "the payload is empty")
    if data[: len(_SIGNATURE)] != _SIGNATURE:
        short = len(data) < len(_SIGNATURE) and _SIGNATURE.startswith(data)
        raise BadImage("truncated" if short else "not_png", "it does not begin as a PNG does")
    chunks = list(_chunks(data))
    kinds = [kind for kind, _ in chunks]
    if kinds[0] != b"IHDR" or kinds.count(b"IHDR") != 1 or len(chunks[0][1]) != 13:
        raise BadImage("bad_structure", "it does not begin with one IHDR chunk of 13 bytes")
    width, height, raw = _dimensions(bytes(chunks[0][1]))
    parts = [index for index, kind in enumerate(kinds) if kind == b"IDAT"]
    if not parts or parts != list(range(parts[0], parts[-1] + 1)):
        raise BadImage("bad_structure", "its IDAT chunks are missing or not in one row")
    palette = kinds.index(b"PLTE") if b"PLTE" in kinds else None
    if chunks[0][1][9] == 3 and (palette is None or palette > parts[0]):
        raise BadImage("bad_structure", "it has palette colours and no palette before its data")
    _inflate([body for kind, body in chunks if kind == b"IDAT"], raw)
    return width, height


def _chunks(data: bytes) -> list[tuple[bytes, memoryview]]:
    view = memoryview(data)
    at = len(_SIGNATURE)
    chunks: list[tuple[bytes, memoryview]] = []
    while at < len(data):
        if at + 12 > len(data):
            raise BadImage("truncated", "it ends within a chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        if not kind.isalpha():
            raise BadImage("bad_structure", "a chunk's type is not four letters")
        end = at + 12 + length
        if end > len(data):
            raise BadImage("truncated", f"it ends within its {kind.decode()} chunk")
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[at + 4 : end - 4]) != crc:
            raise BadImage("bad_crc", f"the CRC of its {kind.decode()} chunk is wrong")
        chunks.append((kind, view[at + 8 : end - 4]))
        at = end
        if kind == b"IEND":
            if at != len(data):
                raise BadImage("bad_structure", "bytes follow its end")
            return chunks
    raise BadImage("truncated", "it has no end")


def _dimensions(header: bytes) -> tuple[int, int, int]:
    """Width, height, and the length of the image data when inflated."""
    width, height, depth, colour, method, filters, interlace = struct.unpack(">IIBBBBB", header)
    if depth not in _DEPTHS.get(colour, ()) or method or filters or interlace > 1:
        raise BadImage("bad_structure", "its header holds values that PNG does not know")
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImage("dimensions", f"{width} x {height} pixels; {MAX_PIXELS} at most are taken")
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    raw = 0
    for column, row, across, down in passes:
        columns = -(-(width - column) // across) if width > column else 0
        rows = -(-(height - row) // down) if height > row else 0
        if columns and rows:
            raw += rows * (1 + (columns * bits + 7) // 8)
    return width, height, raw


def _inflate(parts: list[memoryview], expected: int) -> None:
    """Inflate and count, a step at a time, so that a bomb costs no memory."""
    inflater = zlib.decompressobj()
    count = 0
    try:
        for part in parts:
            rest: bytes | memoryview = part
            while rest and not inflater.eof and count <= expected:
                count += len(inflater.decompress(rest, _STEP))
                rest = inflater.unconsumed_tail
        while not inflater.eof and count <= expected:
            more = inflater.decompress(inflater.unconsumed_tail, _STEP)
            if not more:
                break
            count += len(more)
    except zlib.error as error:
        raise BadImage("bad_data", f"its image data cannot be inflated: {error}") from None
    if not inflater.eof or count != expected:
        raise BadImage("bad_data", f"its image data has {count} bytes for {expected} of its header")
