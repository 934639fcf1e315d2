"""What an engine is: it finds faces in a frame, and finds again one that it has found before.

A third engine is one module with a class of this shape, and a line in `made`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from detector.settings import DetectorSettings

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
SAME = 0.35  # overlap from which two boxes show one face
UNMOVED = 0.6  # overlap of two boxes of a face that has not moved


@dataclasses.dataclass(frozen=True)
class Detection:
    """A face in a frame.

    box: bounding box x, y, w, h in pixels of the frame, within it.
    score: the engine's own confidence, in the engine's own unit.
    frontal: how much it looks into the camera, 0 to 1.
    evidence: whether the score says if this is a face; else it is only a place to look at.
    engine: the name of the engine that found it.
    """

    box: Box
    score: float
    frontal: float = 1.0
    evidence: bool = False
    engine: str = ""


class Engine(Protocol):
    """Not thread-safe, as OpenCV's own classes are not: one per thread."""

    name: str
    once: float  # the score by which one sight confirms a face
    often: float  # the mean score by which several do
    shown: float  # the score without which a sight of a face is not sent

    def search(
        self, image: Image, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        """Candidates of `min_side` pixels or more in a picture (height x width x 3, BGR).

        most: the scale to which the picture is to be reduced, or further.
        deep: in all ways that the engine has, not only in the quick ones.
        """

    def near(self, image: Image, box: Box) -> list[Detection]:
        """Candidates around `box`, of about its size, where a face was a moment ago: quick."""

    def judged(self, image: Image, box: Box) -> Detection:
        """What a candidate is worth: slower, and as sure as the engine can be."""

    def thorough(self, image: Image, min_side: float, most: float = 1.0) -> list[Detection]:
        """Faces in a picture that stands alone, whatever time that takes."""


def made(settings: DetectorSettings) -> Engine:
    """The engine that ENGINE names."""
    from detector.detection import haar, judged_cascade, yunet

    if settings.engine == "yunet":
        return yunet.YuNet(settings.model)
    cascade = haar.Haar(settings.cascade, settings.scale_factor, settings.min_neighbors)
    if settings.judge == "auto" and settings.model:
        return judged_cascade.JudgedCascade(cascade, yunet.YuNet(settings.model))
    return cascade


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    shared = max(0, right - left) * max(0, bottom - top)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def within(box: tuple[float, float, float, float], image: Image) -> Box:
    """The box in whole pixels, clipped to the frame; one pixel wide at least."""
    height, width = image.shape[:2]
    left, top = min(max(round(box[0]), 0), width - 1), min(max(round(box[1]), 0), height - 1)
    right = min(max(round(box[0] + box[2]), left + 1), width)
    bottom = min(max(round(box[1] + box[3]), top + 1), height)
    return left, top, right - left, bottom - top


def surroundings(box: Box, by: float, image: Image) -> Box:
    """The box with `by` pixels more on each side, clipped to the frame."""
    x, y, w, h = box
    return within((x - by, y - by, w + 2 * by, h + 2 * by), image)


def apart(boxes: Iterable[Box], others: Iterable[Box] = ()) -> list[Box]:
    """Those that show a face which none of `others`, and none before it, shows."""
    taken, kept = list(others), []
    for box in boxes:
        if all(overlap(box, other) < SAME for other in taken):
            kept.append(box)
            taken.append(box)
    return kept


def distinct(found: Iterable[Detection]) -> list[Detection]:
    """Without those that show a face which another one shows with a higher score."""
    kept: list[Detection] = []
    for detection in sorted(found, key=lambda d: -d.score):
        if all(overlap(detection.box, other.box) < SAME for other in kept):
            kept.append(detection)
    return kept


def cut_off(box: Box, part: Image, place: Box, image: Image) -> bool:
    """Whether the edges of a part of the picture cut off a box in it; those of the picture may.

    part: the pixels, at any scale; place: where the part lies in the picture.
    """
    x, y, w, h = box
    left, top, width, height = place
    return (
        (x <= 0 and left > 0)
        or (y <= 0 and top > 0)
        or (x + w >= part.shape[1] and left + width < image.shape[1])
        or (y + h >= part.shape[0] and top + height < image.shape[0])
    )
