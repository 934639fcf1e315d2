"""A picture in the form that its source gives: BGR, or planes of brightness and of colour.

Video is decoded to planes (Y, U and V). Most of the work needs the brightness alone, and colour
only of small parts, so whole frames are never converted to BGR.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x, y, width, height in pixels

# Shares of red and blue in the brightness: ITU-T H.273, table 4.
_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclasses.dataclass(frozen=True)
class YuvForm:
    """How planes of Y, U and V are to be read.

    matrix: `bt601`, `bt709` or `bt2020`; full: levels from 0 to 255 rather than from 16 to 235.
    cell: width and height in pixels of what shares a colour; phase: columns and rows of the first
    cells that were cut away.
    """

    matrix: str = "bt601"
    full: bool = False
    cell: tuple[int, int] = (2, 2)
    phase: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture. `planes`: BGR (height x width x 3) alone, or Y, U and V; all of them uint8.

    form: of planes of Y, U and V; None for BGR.
    """

    planes: tuple[Image, ...]
    form: YuvForm | None = None

    @classmethod
    def from_bgr(cls, image: Image) -> Picture:
        """A picture of an image: height x width x 3, uint8, BGR."""
        return cls((image,))

    @classmethod
    def from_bytes(cls, pixels: Image, facts: dict[str, Any]) -> Picture:
        """What `to_facts` describes, out of its planes one after another."""
        planes = []
        start = 0
        for shape in facts["shapes"]:
            size = int(np.prod(shape))
            planes.append(pixels[start : start + size].reshape(shape))
            start += size
        form = facts["form"]
        if form is not None:
            form = YuvForm(form["matrix"], form["full"], tuple(form["cell"]), tuple(form["phase"]))
        return cls(tuple(planes), form)

    def to_facts(self) -> dict[str, Any]:
        """What `from_bytes` needs besides the bytes of the planes, for JSON."""
        form = dataclasses.asdict(self.form) if self.form else None
        return {"shapes": [plane.shape for plane in self.planes], "form": form}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.planes[0].shape[:2]
        return height, width

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

    def rotate(self, degrees: int) -> Picture:
        """The picture turned clockwise by a multiple of 90 degrees."""
        if degrees == 0:
            return self
        form = self.form
        if form is not None and degrees != 180:
            form = dataclasses.replace(form, cell=form.cell[::-1], phase=form.phase[::-1])
        turned = (cv2.rotate(plane, _TURNS[degrees]) for plane in self.planes)
        return Picture(tuple(plane.astype(np.uint8, copy=False) for plane in turned), form)

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


def copy_planes(picture: Picture, into: Image) -> None:
    """Write the planes one after another."""
    start = 0
    for plane in picture.planes:
        into[start : start + plane.size].reshape(plane.shape)[:] = plane
        start += plane.size


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
