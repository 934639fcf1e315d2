"""One frame of a camera."""

from __future__ import annotations

import dataclasses

from detector.picture import Picture


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture of a camera; the receiver may change it."""

    picture: Picture
    index: int | None  # number of the frame in a file, from 0; None for a live camera
    at: float  # when it was taken, in seconds since 1970
    time: float  # seconds on the source's own clock: a file's, or the machine's monotonic one
