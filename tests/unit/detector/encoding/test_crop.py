"""From a detection to a PNG."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.png import check
from detector.capture.opencv import to_bgr
from detector.encoding import crop
from detector.encoding.crop import FaceCrop
from detector.parsers import regions
from detector.picture import Box, Picture
from detector.planes import Image
from detector.tracking import quality
from testing.clips import clips

NOISE = np.random.default_rng(7).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def shot(image: Image, face: Box, margin: float = 0.0) -> FaceCrop:
    height, width = image.shape[:2]
    box = x, y, w, h = crop.add_margin(face, margin, width, height)
    pixels = image[y : y + h, x : x + w]
    return FaceCrop(
        pixels, box, face, (width, height), 0, 0.0, 0.0, 50.0, 100.0, 0.5, "1-1", "haar"
    )


@given(
    x=st.integers(0, 159),
    y=st.integers(0, 119),
    w=st.integers(1, 160),
    h=st.integers(1, 120),
    margin=st.floats(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_a_shot_is_exactly_the_pixels_of_its_box_wherever_the_face_is(
    x: int, y: int, w: int, h: int, margin: float
) -> None:
    face = (x, y, min(w, 160 - x), min(h, 120 - y))
    taken = shot(NOISE, face, margin)
    png, scale = crop.encode_crop(taken, 1_000_000)
    left, top, across, down = taken.box
    assert left <= x
    assert top <= y
    assert left + across >= x + face[2]
    assert top + down >= y + face[3]
    assert scale == 1.0
    assert np.array_equal(clips.decode(png), NOISE[top : top + down, left : left + across])


@pytest.mark.parametrize(
    ("face", "margin", "box"),
    [
        ((50, 40, 20, 10), 0.0, (50, 40, 20, 10)),
        ((50, 40, 20, 10), 0.5, (40, 35, 40, 20)),
        ((0, 0, 20, 10), 0.5, (0, 0, 30, 15)),
        ((140, 110, 20, 10), 0.5, (130, 105, 30, 15)),
        ((0, 0, 160, 120), 2.0, (0, 0, 160, 120)),
    ],
)
def test_the_margin_is_a_share_of_the_face_and_ends_at_the_frame(
    face: tuple[int, int, int, int], margin: float, box: tuple[int, int, int, int]
) -> None:
    assert crop.add_margin(face, margin, 160, 120) == box


@pytest.mark.parametrize("max_bytes", [10_000, 20_000, 50_000])
def test_a_face_too_large_is_scaled_until_it_fits_and_says_so(max_bytes: int) -> None:
    png, scale = crop.encode_crop(shot(NOISE, (0, 0, 160, 120)), max_bytes, {"Source": "box-1"})
    height, width = clips.decode(png).shape[:2]
    assert len(png) <= max_bytes
    assert scale < 1.0
    assert (width, height) == (round(160 * scale), round(120 * scale))


def test_what_is_told_of_a_shot_stands_inside_the_png() -> None:
    told = {"Creation Time": "2026-01-02T03:04:05.000000Z", "Source": "box-1/door"}
    png, _ = crop.encode_crop(shot(NOISE, (0, 0, 160, 120)), 1_000_000, told)
    assert np.array_equal(clips.decode(png), NOISE)
    assert check(png) == (160, 120)
    for keyword, value in told.items():
        body = b"tEXt" + keyword.encode() + b"\0" + value.encode()
        at = png.index(body)
        assert png[at - 4 : at] == struct.pack(">I", len(body) - 4)
        assert png[at + len(body) :][:4] == struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(("degrees", "corner"), [(0, 0), (90, 2), (180, 3), (270, 1)])
def test_a_frame_is_turned_clockwise(degrees: int, corner: int) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, :, 0] = [[0, 1], [2, 3]]
    assert Picture.from_bgr(image).rotate(degrees).bgr[0, 0, 0] == corner


def test_a_masked_region_is_black_and_the_rest_untouched() -> None:
    image = NOISE.copy()
    crop.apply_mask(Picture.from_bgr(image), regions("0,0,0.5,0.25;0.9,0.9,1,1"))
    assert not image[:30, :80].any()
    assert not image[108:, 144:].any()
    image[:30, :80] = NOISE[:30, :80]
    image[108:, 144:] = NOISE[108:, 144:]
    assert np.array_equal(image, NOISE)


def test_a_sharper_picture_has_more_sharpness_at_any_size() -> None:
    blurred = cv2.GaussianBlur(NOISE, (0, 0), 2).astype(np.uint8)

    def measure(image: Image) -> float:
        return quality.sharpness(Picture.from_bgr(image), (20, 20, 80, 80))

    assert measure(NOISE) > 5 * measure(blurred)


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (np.full((4, 6), 200, np.uint8), 200),
        (np.full((4, 6, 1), 200, np.uint8), 200),
        (np.full((4, 6), 51400, np.uint16), 200),
        (np.full((4, 6, 3), 51400, np.uint16), 200),
        (np.full((4, 6, 4), 200, np.uint8), 200),
    ],
)
def test_grey_deep_and_transparent_frames_become_three_channels_of_8_bits(
    image: np.ndarray, pixel: int
) -> None:
    made = to_bgr(image)
    assert made.shape == (4, 6, 3)
    assert made.dtype == np.uint8
    assert (made == pixel).all()
