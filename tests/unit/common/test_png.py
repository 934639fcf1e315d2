"""What is a sound PNG, judged byte by byte, with OpenCV as the reader that must agree."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zlib
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.png import BadImage, check, encode_chunk, iterate_chunks, read_size
from testing.pictures import png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
ADAM7 += [(0, 1, 1, 2)]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def header(width: int = 8, height: int = 8, depth: int = 8, colour: int = 0, *rest: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, *rest or (0, 0, 0)))


IHDR, IEND = header(), chunk(b"IEND")
RAW = bytes(8 * 9)  # the image data of 8 x 8 grey pixels, each row behind its filter
LAST_ROW_BAD = bytes(7 * 9) + b"\x05" + bytes(8)
IDAT = chunk(b"IDAT", zlib.compress(RAW))
PLTE = chunk(b"PLTE", bytes(3 * 256))


def drawn(width: int, height: int, colour: int, depth: int, interlace: int) -> bytes:
    """A PNG of any kind, black, made by hand: OpenCV writes neither palettes nor Adam7."""
    raw = b""
    for left, top, across, down in ADAM7 if interlace else [(0, 0, 1, 1)]:
        columns, rows = len(range(left, width, across)), len(range(top, height, down))
        if columns:
            raw += bytes(rows * (1 + (columns * depth * CHANNELS[colour] + 7) // 8))
    packed = zlib.compress(raw)
    data = chunk(b"IDAT", packed[:5]) + chunk(b"IDAT", packed[5:])
    colours = chunk(b"PLTE", bytes(3 << depth)) if colour == 3 else b""
    return SIGNATURE + header(width, height, depth, colour, 0, 0, interlace) + colours + data + IEND


@pytest.mark.parametrize(("colour", "depth"), KINDS)
@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (8, 8), (13, 5)])
def test_every_kind_of_png_that_a_reader_opens_is_taken(
    width: int, height: int, colour: int, depth: int, interlace: int
) -> None:
    data = drawn(width, height, colour, depth, interlace)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert read.shape[:2] == (height, width)
    assert check(data) == (width, height)


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1), (np.uint16, 3)]),
    st.integers(0, 9),
    st.randoms(use_true_random=False),
)
def test_what_opencv_writes_is_taken(
    width: int,
    height: int,
    kind: tuple[type[np.integer[Any]], int],
    level: int,
    random: Random,
) -> None:
    dtype, channels = kind
    size = width * height * channels * np.dtype(dtype).itemsize
    pixels = np.frombuffer(random.randbytes(size), dtype).reshape(height, width, channels)
    written = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()
    assert check(written) == (width, height)


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("empty", b""),
        ("truncated", b"\x89"),
        ("truncated", SIGNATURE),
        ("truncated", SIGNATURE + IHDR + IDAT),
        ("truncated", SIGNATURE + IHDR + IDAT + IEND[:-1]),
        ("not_png", b"x"),
        ("not_png", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        ("not_png", b"\x89PNG\n\x1a\n" + IHDR + IDAT + IEND),
        ("bad_crc", SIGNATURE + IHDR[:-1] + b"?" + IDAT + IEND),
        ("bad_crc", SIGNATURE + IHDR + IDAT[:-1] + b"?" + IEND),
        ("dimensions", SIGNATURE + header(60000, 60000) + IDAT + IEND),
        ("dimensions", SIGNATURE + header(0, 8) + IDAT + IEND),
        ("dimensions", SIGNATURE + header(8192, 8192) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IDAT + IHDR + IEND),
        ("bad_structure", SIGNATURE + IHDR + IHDR + IDAT + IEND),
        ("bad_structure", SIGNATURE + chunk(b"IHDR", b"short") + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + IEND),
        ("bad_structure", SIGNATURE + IHDR + IDAT + IEND + b"more"),
        ("bad_structure", SIGNATURE + IHDR + IDAT + chunk(b"tEXt") + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"ABCD") + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"a\0cd") + IDAT + IEND),
        ("bad_structure", SIGNATURE + header(8, 8, 8, 3) + IDAT + IEND),
        ("bad_structure", SIGNATURE + header(8, 8, 8, 3) + IDAT + PLTE + IEND),
        ("bad_structure", SIGNATURE + header(8, 8, 8, 3) + chunk(b"PLTE") + IDAT + IEND),
        ("bad_structure", SIGNATURE + header(8, 8, 3) + IDAT + IEND),
        ("bad_structure", SIGNATURE + header(8, 8, 8, 5) + IDAT + IEND),
        ("bad_structure", SIGNATURE + header(8, 8, 8, 0, 0, 0, 2) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"zTXt", b"k\0\0" + IDAT) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"iTXt", b"k\0\1\0\0\0" + IDAT) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"iCCP", b"k\0\0" + IDAT) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"eXIf", b"II*\0") + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"acTL", bytes(8)) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + chunk(b"tEXt", bytes(16_385)) + IDAT + IEND),
        ("bad_structure", SIGNATURE + IHDR + 17 * chunk(b"tEXt", bytes(1000)) + IDAT + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT") + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", b"not deflated") + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", zlib.compress(RAW)[:-1]) + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", zlib.compress(RAW[1:])) + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", zlib.compress(RAW + b"\0")) + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", zlib.compress(bytes(10**8))) + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", zlib.compress(b"\x09" + RAW[1:])) + IEND),
        ("bad_data", SIGNATURE + IHDR + chunk(b"IDAT", zlib.compress(LAST_ROW_BAD)) + IEND),
    ],
)
def test_what_is_no_sound_png_has_its_reason(reason: str, data: bytes) -> None:
    with pytest.raises(BadImage) as caught:
        check(data)
    assert caught.value.reason == reason


def test_a_few_plain_chunks_beside_the_image_are_taken() -> None:
    kinds = (b"tEXt", b"tIME", b"pHYs", b"sRGB", b"gAMA")
    beside = b"".join(chunk(kind, bytes(9)) for kind in kinds)
    assert check(SIGNATURE + IHDR + beside + IDAT + chunk(b"tEXt", bytes(16_000)) + IEND) == (8, 8)


def test_a_png_is_its_signature_and_its_chunks() -> None:
    data = drawn(13, 5, 3, 8, 1)
    chunks = list(iterate_chunks(data))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"PLTE", b"IDAT", b"IDAT", b"IEND"]
    assert SIGNATURE + b"".join(encode_chunk(*parts) for parts in chunks) == data


def test_a_size_is_read_however_large_the_picture_is() -> None:
    assert read_size(SIGNATURE + header(60000, 40000) + IDAT) == (60000, 40000)


@pytest.mark.parametrize("length", range(len(png())))
def test_a_png_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(BadImage) as caught:
        check(png()[:length])
    assert caught.value.reason in ("empty", "truncated")


@given(st.integers(0, len(png()) - 1), st.integers(1, 255))
def test_a_png_with_one_byte_changed_is_refused(at: int, mask: int) -> None:
    data = bytearray(png())
    data[at] ^= mask
    with pytest.raises(BadImage):
        check(bytes(data))


@given(st.lists(st.tuples(st.sampled_from([b"IDAT", b"PLTE", b"tEXt", b"IHDR"]), st.binary())))
def test_sound_chunks_in_any_row_are_a_png_or_refused(chunks: list[tuple[bytes, bytes]]) -> None:
    data = SIGNATURE + IHDR + b"".join(chunk(*parts) for parts in chunks) + IEND
    with pytest.raises(BadImage):  # data that inflates to a picture is not found by chance
        check(data)


@pytest.mark.parametrize(
    "data",
    [
        SIGNATURE + IHDR + chunk(b"tEXt") * 40_000 + IDAT + IEND,
        SIGNATURE + IHDR + chunk(b"IDAT") * 40_000 + IDAT + IEND,
        SIGNATURE + header(4096, 4096, 16, 6) + chunk(b"IDAT", zlib.compress(bytes(10**8))) + IEND,
    ],
    ids=["chunks", "empty data", "deep picture"],
)
def test_a_hostile_file_costs_no_memory(data: bytes) -> None:
    tracemalloc.start()
    with contextlib.suppress(BadImage):
        check(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
