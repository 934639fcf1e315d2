"""One frame of a camera."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture. `image`: height x width x 3, uint8, BGR; the receiver may change it."""

    image: Image
    index: int | None  # number of the frame in a file, from 0; None for a live camera
    at: float  # when it was taken, in seconds since 1970
    time: float  # seconds on the source's own clock: a file's, or the machine's monotonic one
