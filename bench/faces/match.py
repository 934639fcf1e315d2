"""What counts as a hit, and how detections and labelled faces are paired."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

LEAST = 24  # pixels: faces that are smaller in width or height count neither way
LEAST_IOU = 0.3

Box = tuple[float, float, float, float]  # x, y, width, height in pixels


def iou(a: Box, b: Box) -> float:
    """Intersection over union; 0 where boxes do not meet."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def hits(a: Box, b: Box) -> bool:
    """Whether two boxes show one face: IoU of 0.3 or more, or each centre within the other."""
    return iou(a, b) >= LEAST_IOU or (_holds_centre(a, b) and _holds_centre(b, a))


def _holds_centre(outer: Box, inner: Box) -> bool:
    x, y = inner[0] + inner[2] / 2, inner[1] + inner[3] / 2
    return 0 <= x - outer[0] <= outer[2] and 0 <= y - outer[1] <= outer[3]


def large(box: Box) -> bool:
    return min(box[2], box[3]) >= LEAST


def best(box: Box, among: Sequence[Box | None]) -> int | None:
    """Index of the box that is hit, the one that overlaps most if several are; None for none."""
    hit = [(iou(box, one), -i) for i, one in enumerate(among) if one and hits(box, one)]
    return -max(hit)[1] if hit else None


@dataclasses.dataclass(frozen=True)
class Score:
    """Of pictures: labelled faces, those found, and detections that are no face."""

    faces: int = 0
    found: int = 0
    false: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.faces + other.faces, self.found + other.found, self.false + other.false)

    @property
    def recall(self) -> float:
        return self.found / self.faces if self.faces else math.nan

    @property
    def precision(self) -> float:
        counted = self.found + self.false
        return self.found / counted if counted else math.nan


def score(detections: Sequence[Box], faces: Sequence[Box], ignore: Sequence[Box]) -> Score:
    """One picture. A face is found by one detection at most, pairs of greatest IoU first.

    A detection that is left over counts neither way where it hits a face below `LEAST` or a
    region to ignore, and else as false; so does a second one on the same face.
    """
    wanted = [face for face in faces if large(face)]
    pairs = sorted(
        (-iou(d, f), i, j)
        for i, d in enumerate(detections)
        for j, f in enumerate(wanted)
        if hits(d, f)
    )
    used: set[int] = set()
    found: set[int] = set()
    for _, i, j in pairs:
        if i not in used and j not in found:
            used.add(i)
            found.add(j)
    open_ = [*(face for face in faces if not large(face)), *ignore]
    false = sum(
        best(detection, open_) is None for i, detection in enumerate(detections) if i not in used
    )
    return Score(len(wanted), len(found), false)
