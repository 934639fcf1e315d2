"""The planes of a picture: how its pixels lie in memory.

The capture process hands over planes as it decodes them; it needs nothing of OpenCV for that.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


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
class Planes:
    """One picture. `planes`: BGR (height x width x 3) alone, or Y, U and V; all of them uint8.

    form: of planes of Y, U and V; None for BGR.
    """

    planes: tuple[Image, ...]
    form: YuvForm | None = None

    @classmethod
    def from_bgr(cls, image: Image) -> Self:
        """A picture of an image: height x width x 3, uint8, BGR."""
        return cls((image,))

    @classmethod
    def from_memory(cls, pixels: Image, facts: dict[str, Any]) -> Self:
        """What `copy_to` has written there, and `to_facts` describes."""
        planes = []
        start = 0
        for shape in facts["shapes"]:
            size = math.prod(shape)
            planes.append(pixels[start : start + size].reshape(shape))
            start += size
        form = facts["form"]
        if form is not None:
            form = YuvForm(form["matrix"], form["full"], tuple(form["cell"]), tuple(form["phase"]))
        return cls(tuple(planes), form)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.planes[0].shape[:2]
        return height, width

    @property
    def size(self) -> int:
        """Bytes of all planes."""
        return sum(plane.size for plane in self.planes)

    def to_facts(self) -> dict[str, Any]:
        """What `from_memory` needs besides the bytes, for JSON."""
        form = dataclasses.asdict(self.form) if self.form else None
        return {"size": self.size, "shapes": [plane.shape for plane in self.planes], "form": form}

    def copy_to(self, memory: Image) -> None:
        """Write the planes one after another."""
        start = 0
        for plane in self.planes:
            memory[start : start + plane.size].reshape(plane.shape)[:] = plane
            start += plane.size

    def rotate(self, degrees: int) -> Self:
        """The picture turned clockwise by a multiple of 90 degrees; it may share its memory."""
        if degrees % 360 == 0:
            return self
        form = self.form
        if form is not None and degrees % 180:
            form = dataclasses.replace(form, cell=form.cell[::-1], phase=form.phase[::-1])
        turned = (np.rot90(plane, -degrees // 90) for plane in self.planes)
        return type(self)(tuple(turned), form)
