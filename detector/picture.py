"""A picture in the form that its source gives: BGR, or planes of brightness and of colour.

Video is decoded to planes (Y, U and V). Most of the work needs the brightness alone, and colour
only of small parts, so whole frames are never converted to BGR.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from detector.planes import Image, Planes, YuvForm

Box = tuple[int, int, int, int]  # x, y, width, height in pixels

# Shares of red and blue in the brightness: ITU-T H.273, table 4.
_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


@dataclasses.dataclass(frozen=True)
class Picture(Planes):
    """A picture of which parts can be cut, resized and converted."""

    @cached_property
    def bgr(self) -> Image:
        """Height x width x 3, BGR."""
        if self.form is None:
            return self.planes[0]
        y, *colours = self.planes
        yuv = cv2.merge([y, *(self._enlarge(plane, self.form) for plane in colours)])
        return cv2.transform(yuv, _create_matrix(self.form.matrix, self.form.full)).astype(
            np.uint8, copy=False
        )

    @cached_property
    def grey(self) -> Image:
        """Height x width, from 0 (black) to 255 (white)."""
        return self.sample_grey(1)

    def sample_grey(self, step: int) -> Image:
        """Every `step`-th pixel of every `step`-th row, in grey."""
        first = self.planes[0]
        if step > 1:
            first = np.ascontiguousarray(first[::step, ::step])
        if self.form is None:
            return cv2.cvtColor(first, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
        if self.form.full:
            return first
        return cv2.LUT(first, _create_table()).astype(np.uint8, copy=False)

    def cut(self, box: Box) -> Picture:
        """The part in a box, which lies within the picture; it shares the picture's memory."""
        x, y, w, h = box
        first = self.planes[0][y : y + h, x : x + w]
        if self.form is None:
            return Picture((first,))
        across, down = self.form.cell
        left, top = x + self.form.phase[0], y + self.form.phase[1]
        rows = slice(top // down, -(-(top + h) // down))
        columns = slice(left // across, -(-(left + w) // across))
        colours = (plane[rows, columns] for plane in self.planes[1:])
        phase = left % across, top % down
        return Picture((first, *colours), dataclasses.replace(self.form, phase=phase))

    def resize(self, size: tuple[int, int]) -> Picture:
        """The picture scaled to a width and height."""
        if size == self.shape[::-1]:
            return self
        form = self.form and dataclasses.replace(self.form, cell=(1, 1), phase=(0, 0))
        return Picture(tuple(_resize(plane, size) for plane in self.planes), form)

    def rotate(self, degrees: int) -> Self:
        """The picture turned clockwise by a multiple of 90 degrees, in memory of its own."""
        turned = super().rotate(degrees)
        if turned is self:
            return self
        return type(self)(tuple(np.ascontiguousarray(one) for one in turned.planes), turned.form)

    def black_out(self, box: Box) -> None:
        """Make a box black, in place; colours that it shares with its neighbours become grey."""
        part = self.cut(box)
        part.planes[0][:] = 0 if self.form is None or self.form.full else 16
        for plane in part.planes[1:]:
            plane[:] = 128

    def _enlarge(self, plane: Image, form: YuvForm) -> Image:
        """A plane of colour at the size of the picture."""
        height, width = self.shape
        (across, down), (left, top) = form.cell, form.phase
        if form.cell != (1, 1):
            size = plane.shape[1] * across, plane.shape[0] * down
            plane = _resize(plane, size)[top : top + height, left : left + width]
        return plane


def _resize(plane: Image, size: tuple[int, int]) -> Image:
    if size == (plane.shape[1], plane.shape[0]):
        return plane
    way = cv2.INTER_AREA if size[0] < plane.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(plane, size, interpolation=way).astype(np.uint8, copy=False)


@cache
def _create_matrix(name: str, full: bool) -> npt.NDArray[np.float32]:
    """From Y, U, V and 1 to blue, green and red: ITU-T H.273, section 8.3."""
    red, blue = _WEIGHTS[name]
    green = 1 - red - blue
    black, light, colour = (0, 1.0, 1.0) if full else (16, 255 / 219, 255 / 224)
    to_blue, to_red = 2 * (1 - blue) * colour, 2 * (1 - red) * colour
    rows: Sequence[Sequence[float]] = (
        (light, to_blue, 0.0),
        (light, -to_blue * blue / green, -to_red * red / green),
        (light, 0.0, to_red),
    )
    return np.array([(*row, -black * row[0] - 128 * (row[1] + row[2])) for row in rows], np.float32)


@cache
def _create_table() -> Image:
    """From levels of 16 to 235 to those of 0 to 255."""
    return np.clip(np.rint((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
