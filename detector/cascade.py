"""The engine: OpenCV's Haar cascade.

Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001;
Lienhart and Maydt, "An Extended Set of Haar-like Features", ICIP 2002.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Detection:
    """A face: bounding box x, y, w, h in pixels of the frame, and how sure the detector is."""

    box: Box
    score: float


def readable(cascade: str) -> bool:
    """Whether a file is a cascade (the constructor hides OpenCV's error behind a SystemError)."""
    try:
        return cv2.CascadeClassifier().load(cascade)
    except cv2.error:
        return False


class Haar:
    """Not thread-safe, as OpenCV's own class is not: one per thread."""

    name = "haar"

    def __init__(
        self,
        cascade: str,
        scale_factor: float,
        min_neighbors: int,
        min_face: float,
        width: int,
    ) -> None:
        self._classifier = cv2.CascadeClassifier(cascade)
        self._scale_factor = scale_factor
        self._min_neighbors = min_neighbors
        self._min_face = min_face
        self._width = width

    def detect(self, image: Image) -> list[Detection]:
        """Faces in a frame (height x width x 3, BGR), searched for at `width` pixels at most.

        The score is the number of overlapping hits that made the face (detectMultiScale2).
        """
        height, width = image.shape[:2]
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        shrink = min(1.0, self._width / width)
        if shrink < 1.0:
            size = self._width, max(1, round(height * shrink))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        side = max(1, round(self._min_face * grey.shape[0]))
        boxes, hits = self._classifier.detectMultiScale2(
            grey, self._scale_factor, self._min_neighbors, minSize=(side, side)
        )
        return [
            Detection(_within(box, 1 / shrink, width, height), float(count))
            for box, count in zip(boxes, hits, strict=True)
        ]


def _within(box: Sequence[int], grow: float, width: int, height: int) -> Box:
    """The box in pixels of the whole frame; rounding must not lead out of it."""
    x, y, w, h = (round(float(value) * grow) for value in box)
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    return x, y, min(w, width - x), min(h, height - y)
