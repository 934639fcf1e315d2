"""PNG files, chunk by chunk: whether every reader will open one, and what one is made of.

After the PNG specification (third edition, W3C, 2025): 5.2 signature, 5.3 chunk layout, 5.6 chunk
ordering, 11.2.1 IHDR, 10.1 compression. Memory stays small whatever the header claims.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = 33  # bytes of the signature and of the IHDR chunk, which comes first
MAX_SIDE = 8192  # pixels
MAX_PIXELS = 16_777_216
# What may stand beside the image (11.3): what our detector writes, and a few that say how to show
# it. Compressed texts and profiles, animation and whatever else readers unpack are not taken: they
# can be bombs, and Pillow and OpenCV have failed on such.
PLAIN_CHUNKS = frozenset(
    (b"tEXt", b"tIME", b"pHYs", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"bKGD", b"tRNS")
)
PLAIN_MAX = 16 * 1024  # bytes of all of them
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
_STEP = 64 * 1024  # bytes read, and bytes inflated, at a time


class BadImage(ValueError):
    """Not a PNG to store. `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class _Header(NamedTuple):
    """What IHDR says (11.2.1)."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


def check(data: bytes) -> tuple[int, int]:
    """Width and height, in pixels, of a PNG that is whole and sound.

    Raises:
        BadImage: empty, not_png, truncated, bad_crc, bad_structure, dimensions or bad_data.
    """
    chunks = iterate_chunks(data)
    header = _parse_header(*next(chunks))
    width, height = header.width, header.height
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImage(
            "dimensions", f"{width} x {height} pixels; at most {MAX_PIXELS} are accepted"
        )
    needs_palette = header.colour == 3
    image = _ImageData(_passes(header))
    before = b"IHDR"
    room = PLAIN_MAX
    for kind, body in chunks:
        if kind == b"IDAT":
            if needs_palette:
                raise BadImage("bad_structure", "it has palette colours but no palette before them")
            if image.begun and before != b"IDAT":
                raise BadImage("bad_structure", "its IDAT chunks are not consecutive")
            image.feed(body)
        elif kind == b"PLTE":
            if len(body) % 3 or not 3 <= len(body) <= 768:
                raise BadImage("bad_structure", "its palette is not 1 to 256 colours")
            needs_palette = False
        elif kind != b"IEND":
            room = _left_beside(kind, body, room)
        before = kind
    image.finish()
    return width, height


def _left_beside(kind: bytes, body: memoryview, room: int) -> int:
    """The bytes of `room` for chunks beside the image that a chunk leaves. Raises BadImage."""
    if kind not in PLAIN_CHUNKS:
        text = "is unknown or occurs twice" if kind[:1].isupper() else "is not accepted"
        raise BadImage("bad_structure", f"its {kind.decode()} chunk {text}")
    if len(body) > room:
        text = f"its chunks other than the image exceed {PLAIN_MAX} bytes"
        raise BadImage("bad_structure", text)
    return room - len(body)


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height, in pixels, as the header says; nothing after it is looked at.

    Raises:
        BadImage: empty, not_png, truncated, bad_crc or bad_structure.
    """
    header = _parse_header(*next(iterate_chunks(data)))
    return header.width, header.height


def encode_chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    """A chunk: its length, type, body and CRC (5.3)."""
    crc = zlib.crc32(body, zlib.crc32(kind))
    return b"".join((struct.pack(">I4s", len(body), kind), body, struct.pack(">I", crc)))


def iterate_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Type and body of each chunk, IEND included, one at a time: a hostile file has many.

    Raises:
        BadImage: empty, not_png, truncated, bad_crc or bad_structure.
    """
    if not data:
        raise BadImage("empty", "the payload is empty")
    if data[: len(SIGNATURE)] != SIGNATURE:
        short = len(data) < len(SIGNATURE) and SIGNATURE.startswith(data)
        raise BadImage(
            "truncated" if short else "not_png", "it does not begin with the PNG signature"
        )
    view = memoryview(data)
    at = len(SIGNATURE)
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
        if kind == b"IEND" and end != len(data):
            raise BadImage("bad_structure", "it has bytes after its end")
        yield kind, view[at + 8 : end - 4]
        if kind == b"IEND":
            return
        at = end
    raise BadImage("truncated", "it has no end")


def _parse_header(kind: bytes, body: memoryview) -> _Header:
    """kind, body: of the first chunk. Raises BadImage."""
    if kind != b"IHDR" or len(body) != 13:
        raise BadImage("bad_structure", "it does not begin with an IHDR chunk of 13 bytes")
    width, height, depth, colour, method, filters, interlace = struct.unpack(">IIBBBBB", body)
    if depth not in _DEPTHS.get(colour, ()) or method or filters or interlace > 1:
        raise BadImage("bad_structure", "its header has values that PNG does not define")
    return _Header(width, height, depth, colour, interlace == 1)


def _passes(header: _Header) -> list[tuple[int, int]]:
    """Of each pass, its rows and the bytes of each, filter type included."""
    bits = header.depth * _CHANNELS[header.colour]
    found = []
    for column, row, across, down in _ADAM7 if header.interlaced else ((0, 0, 1, 1),):
        columns = -(-(header.width - column) // across) if header.width > column else 0
        rows = -(-(header.height - row) // down) if header.height > row else 0
        if columns and rows:
            found.append((rows, 1 + (columns * bits + 7) // 8))
    return found


class _ImageData:
    """Inflates the IDAT chunks and counts, a step at a time, so that a bomb costs no memory."""

    def __init__(self, passes: list[tuple[int, int]]) -> None:
        self._inflater = zlib.decompressobj()
        self._expected = sum(rows * length for rows, length in passes)
        self._rows = iter([length for rows, length in passes for length in [length] * rows])
        self._next_row = 0  # where in the image data the next row begins
        self._count = 0
        self.begun = False

    def feed(self, body: memoryview) -> None:
        self.begun = True
        for at in range(0, len(body), _STEP):
            piece: bytes | memoryview = body[at : at + _STEP]
            while piece and not self._inflater.eof:
                self._inflate(piece)
                piece = self._inflater.unconsumed_tail

    def finish(self) -> None:
        if not self.begun:
            raise BadImage("bad_structure", "it has no IDAT chunk")
        while not self._inflater.eof and self._inflate(b""):
            pass
        if not self._inflater.eof or self._count != self._expected:
            text = (
                f"its image data has {self._count} bytes, not {self._expected} as its header says"
            )
            raise BadImage("bad_data", text)

    def _inflate(self, piece: bytes | memoryview) -> int:
        try:
            data = self._inflater.decompress(piece, _STEP)
        except zlib.error as error:
            text = f"its image data cannot be inflated: {error}"
            raise BadImage("bad_data", text) from None
        self._check_filters(data)
        self._count += len(data)
        if self._count > self._expected:
            raise BadImage(
                "bad_data",
                f"its image data exceeds the {self._expected} bytes that its header says",
            )
        return len(data)

    def _check_filters(self, data: bytes) -> None:
        """Each row begins with its filter type, 0 to 4 (9.2)."""
        end = min(self._count + len(data), self._expected)
        while self._next_row < end:
            if data[self._next_row - self._count] > 4:
                raise BadImage("bad_data", "a row has an unknown filter")
            self._next_row += next(self._rows)
