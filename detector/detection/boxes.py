"""Bounding boxes: how they overlap, and how they are clipped, padded and thinned out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from detector.picture import Box

SAME = 0.35  # intersection over union from which two boxes show one face
UNMOVED = 0.6  # intersection over union of two boxes of a face that has not moved


class Shaped(Protocol):
    """What has a height and a width: a picture, or an array of pixels."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class _Scored(Protocol):
    @property
    def box(self) -> Box: ...

    @property
    def score(self) -> float: ...


S = TypeVar("S", bound=_Scored)


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    shared = max(0, right - left) * max(0, bottom - top)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def clip_box(box: tuple[float, float, float, float], image: Shaped) -> Box:
    """The box in whole pixels, clipped to the frame; one pixel wide at least."""
    height, width = image.shape[:2]
    left, top = min(max(round(box[0]), 0), width - 1), min(max(round(box[1]), 0), height - 1)
    right = min(max(round(box[0] + box[2]), left + 1), width)
    bottom = min(max(round(box[1] + box[3]), top + 1), height)
    return left, top, right - left, bottom - top


def pad_box(box: Box, by: float, image: Shaped) -> Box:
    """The box with `by` pixels more on each side, clipped to the frame."""
    x, y, w, h = box
    return clip_box((x - by, y - by, w + 2 * by, h + 2 * by), image)


def shift_box(box: Box, x: int, y: int) -> Box:
    """The box moved by `x` and `y` pixels."""
    return box[0] + x, box[1] + y, box[2], box[3]


def drop_known(boxes: Iterable[Box], known: Iterable[Box] = ()) -> list[Box]:
    """The boxes that show a face which none of `known`, and none of the boxes before it, shows."""
    taken, kept = list(known), []
    for box in boxes:
        if all(iou(box, other) < SAME for other in taken):
            kept.append(box)
            taken.append(box)
    return kept


def nms(detections: Iterable[S]) -> list[S]:
    """Non-maximum suppression: of detections of one face the one with the highest score."""
    kept: list[S] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        if all(iou(detection.box, other.box) < SAME for other in kept):
            kept.append(detection)
    return kept


def is_cut_off(box: Box, part: Shaped, place: Box, image: Shaped) -> bool:
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
