"""A picture of planes shows what the same picture in BGR does, however it is cut or turned."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detector.picture import Box, Picture
from detector.planes import Image, YuvForm

COLOUR = (40, 90, 200)  # blue, green, red


def smooth(height: int, width: int) -> Image:
    """A picture without sharp edges, since neighbours share their colour."""
    chance = np.random.default_rng(1).integers(40, 216, (5, 7, 3), np.uint8)
    return cv2.resize(chance, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def i420(bgr: Image) -> Picture:
    """The picture in planes; both sides are even. OpenCV's levels are 16 to 235, and bt601."""
    height, width = bgr.shape[:2]
    packed = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).astype(np.uint8).reshape(-1)
    y, u, v = np.split(packed, [height * width, height * width * 5 // 4])
    half = height // 2, width // 2
    return Picture((y.reshape(height, width), u.reshape(half), v.reshape(half)), YuvForm())


def difference(one: Image, other: Image) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


def test_planes_have_the_colours_of_the_picture() -> None:
    bgr = smooth(120, 160)
    assert difference(i420(bgr).bgr, bgr) < 2


def test_grey_is_that_of_the_picture() -> None:
    bgr = smooth(120, 160)
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(np.uint8)
    assert difference(i420(bgr).grey, grey) < 1
    assert difference(Picture.from_bgr(bgr).grey, grey) == 0
    assert difference(i420(bgr).sample_grey(4), grey[::4, ::4]) < 1


@pytest.mark.parametrize(
    "box", [(0, 0, 160, 120), (31, 17, 64, 51), (2, 5, 1, 1), (159, 119, 1, 1)]
)
def test_a_part_is_the_same_part_of_the_whole(box: Box) -> None:
    picture = i420(smooth(120, 160))
    x, y, w, h = box
    assert difference(picture.cut(box).bgr, picture.bgr[y : y + h, x : x + w]) < 3
    within = picture.cut((11, 7, 140, 101)).cut((2, 3, 50, 40))
    assert difference(within.bgr, picture.bgr[10:50, 13:63]) < 3


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_picture_is_turned_clockwise(degrees: int) -> None:
    bgr = smooth(120, 160)
    expected = np.rot90(bgr, -degrees // 90)
    assert difference(Picture.from_bgr(bgr).rotate(degrees).bgr, expected) == 0
    assert difference(i420(bgr).rotate(degrees).bgr, expected) < 2


@pytest.mark.parametrize("size", [(80, 60), (53, 41), (320, 240), (1, 1)])
def test_a_picture_is_resized_to_any_size(size: tuple[int, int]) -> None:
    bgr = smooth(120, 160)
    way = cv2.INTER_AREA if size[0] < 160 else cv2.INTER_LINEAR
    expected = cv2.resize(bgr, size, interpolation=way).astype(np.uint8)
    assert difference(i420(bgr).resize(size).bgr, expected) < 3


@pytest.mark.parametrize("full", [False, True])
def test_a_box_is_made_black_and_the_rest_keeps_its_brightness(full: bool) -> None:
    planes = i420(smooth(120, 160)).planes
    picture = Picture(planes, YuvForm(full=full))
    before = picture.sample_grey(1).copy()
    picture.black_out((11, 21, 40, 31))
    assert picture.bgr[22:51, 12:50].max() == 0  # its edge may take a little colour from beside it
    grey = picture.sample_grey(1).copy()
    assert grey[21:52, 11:51].max() == 0
    grey[21:52, 11:51] = before[21:52, 11:51]
    assert np.array_equal(grey, before)


@pytest.mark.parametrize(
    ("matrix", "full", "yuv"),
    [  # ITU-T H.273, section 8.3
        ("bt601", False, (117, 90, 180)),
        ("bt601", True, (117, 84, 187)),
        ("bt709", False, (110, 95, 178)),
        ("bt2020", False, (116, 93, 178)),
    ],
)
def test_each_matrix_and_range_gives_the_colour(
    matrix: str, full: bool, yuv: tuple[int, int, int]
) -> None:
    planes = tuple(np.full((4, 4), value, np.uint8) for value in yuv)
    picture = Picture(planes, YuvForm(matrix, full, cell=(1, 1)))
    assert np.abs(picture.bgr.astype(int) - COLOUR).max() <= 2


def test_a_picture_comes_back_from_memory() -> None:
    for picture in (i420(smooth(120, 160)), Picture.from_bgr(smooth(33, 21))):
        memory = np.zeros(picture.size, np.uint8)
        picture.copy_to(memory)
        same = Picture.from_memory(memory, picture.to_facts())
        assert same.shape == picture.shape
        assert np.array_equal(same.bgr, picture.bgr)
