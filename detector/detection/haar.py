"""The engine that needs no model file: OpenCV's Haar cascades.

Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001;
Lienhart and Maydt, "An Extended Set of Haar-like Features", ICIP 2002.

A cascade gives many hits around a face and few around anything else. So the search is generous,
and each candidate is verified: scaled to one size, and searched in fine steps three times, as it
is and with its contrast spread, by two cascades that were trained separately. A face gets dozens
of hits each time. The score is the geometric mean of the three counts; for a picture that stands
alone, the best of three tilts. docs/detection.md has the figures behind this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from detector.detection.base import Detection
from detector.detection.boxes import Shaped, clip_box, nms, pad_box, shift_box
from detector.detection.model_files import CASCADES
from detector.detection.per_thread import PerThread
from detector.detection.registry import EngineOptions
from detector.picture import Box, Picture
from detector.planes import Image

WINDOW = 24  # pixels to which the smallest face is reduced; the cascades miss those under 20
STEP = 1.2  # scale factor of the search in a video; the next search follows soon
NEAR_SIDE, NEAR_ROOM, NEAR_STEP = 40, 0.4, 1.12  # pixels of the face; of its size; between sizes
NEAR_HITS = 3
# CLAHE evens out light and shade around a tracked face (Zuiderveld, "Contrast Limited Adaptive
# Histogram Equalization", Graphics Gems IV, 1994): its clip limit and its tiles.
EVEN = 2.0, (4, 4)
JUDGED_SIDE, JUDGED_STEP = 48, 1.05
EYE_SIDE = 112
# Hits of the eyes' cascade that leave no doubt: in a picture that stands alone, and where weak
# scores add up over frames.
EYES_ONCE, EYES_FOLLOWED = 4, 16
CERTAIN = 1.9  # times `alone`: score from which a face need not show its eyes
PLAIN_ROOM, SPREAD_ROOM = 0.25, 0.35
TILTS = (0.0, -12.0, 12.0)  # degrees
FRONTAL = 60.0  # the score of a face that looks straight into the camera
PAUSE = 0.4  # seconds between two searches while nobody is in view
OFTEN = 0.3  # times `alone`: the mean score by which several sights confirm a face
EYES = CASCADES / "haarcascade_eye.xml"
SECOND = CASCADES / "haarcascade_frontalface_alt.xml"

_CASCADES = PerThread(cv2.CascadeClassifier)


class Haar:
    """Scores are numbers of hits; `_alone` is enough of them in a picture that stands alone."""

    name = "haar"

    def __init__(self, cascade: str, scale_factor: float, min_neighbors: int) -> None:
        self._cascade = cascade
        self._even = cv2.createCLAHE(*EVEN)
        self._scale_factor = scale_factor
        self._alone = 3.2 * min_neighbors
        self.confirm_score, self.confirm_mean_score = 1.5 * self._alone, OFTEN * self._alone
        self.shot_score, self.idle_pause = 0.0, PAUSE

    @property
    def _first(self) -> cv2.CascadeClassifier:
        return _CASCADES.of(self._cascade)

    def search(
        self, picture: Picture, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        del deep
        boxes = self._candidates(picture, min_side, min(most, WINDOW / min_side), STEP)
        return [Detection(box, 0.0, engine=self.name) for box in boxes]

    def detect_still(self, picture: Picture, min_side: float, most: float = 1.0) -> list[Detection]:
        grey = picture.grey
        found = []
        for box in self._candidates(picture, min_side, most, self._scale_factor):
            score = max(self._score(grey, box, tilt) for tilt in TILTS)
            if score >= self._alone:
                score = self._reduce_doubtful(score, grey, box, EYES_ONCE)
            if score >= self._alone:
                frontal = min(1.0, score / FRONTAL)
                found.append(Detection(box, score, frontal, evidence=True, engine=self.name))
        return nms(found)

    def detect_near(self, picture: Picture, box: Box) -> list[Detection]:
        place, size, scale = _choose_crop(picture, box, NEAR_ROOM, NEAR_SIDE)
        grey = self._even.apply(picture.cut(place).resize(size).grey).astype(np.uint8, copy=False)
        found, hits = _count_hits(self._first, grey, NEAR_SIDE, NEAR_STEP)
        boxes = [
            clip_box((place[0] + x / scale, place[1] + y / scale, w / scale, h / scale), picture)
            for (x, y, w, h), count in zip(found, hits, strict=True)
            if count >= NEAR_HITS
        ]
        return [Detection(box, 0.0, engine=self.name) for box in boxes]

    def verify(self, picture: Picture, box: Box) -> Detection:
        place = pad_box(box, box[2], picture)
        grey = picture.cut(place).grey
        moved = shift_box(box, -place[0], -place[1])
        score = self._reduce_doubtful(self._score(grey, moved, 0.0), grey, moved, EYES_FOLLOWED)
        frontal = min(1.0, score / FRONTAL)
        return Detection(box, score, frontal, evidence=True, engine=self.name)

    def _candidates(
        self, picture: Picture, min_side: float, scale: float, step: float
    ) -> list[Box]:
        """Boxes with at least two hits in the picture reduced by `scale` (at most 1)."""
        scale = min(1.0, scale)
        height, width = picture.shape
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = picture.resize(size).grey
        side = max(1, round(min_side * scale))
        boxes = self._first.detectMultiScale(small, step, 1, minSize=(side, side))
        return [
            clip_box((x / scale, y / scale, w / scale, h / scale), picture) for x, y, w, h in boxes
        ]

    def _reduce_doubtful(self, score: float, grey: Image, box: Box, enough: int) -> float:
        """The score, reduced if it is doubtful and few eyes are found."""
        if score >= CERTAIN * self._alone or score < 1.0:
            return score
        return score * min(1.0, self._eye_hits(grey, box) / enough)

    def _eye_hits(self, grey: Image, box: Box) -> int:
        """Hits of the eyes' cascade where a face has them: between 1/7 and 3/5 of its height."""
        face = _equalize(_align_patch(grey, box, 0.0, 0.0, EYE_SIDE))
        upper = face[EYE_SIDE // 7 : 3 * EYE_SIDE // 5]
        least, most = EYE_SIDE // 6, 2 * EYE_SIDE // 5
        _, hits = _CASCADES.of(str(EYES)).detectMultiScale2(
            upper, JUDGED_STEP, 1, minSize=(least, least), maxSize=(most, most)
        )
        return int(sum(hits))

    def _score(self, grey: Image, box: Box, tilt: float) -> float:
        plain = _align_patch(grey, box, PLAIN_ROOM, tilt)
        spread = _equalize(_align_patch(grey, box, SPREAD_ROOM, tilt))
        looks = (self._first, plain), (self._first, spread), (_CASCADES.of(str(SECOND)), spread)
        hits = (max(_count_hits(*look, JUDGED_SIDE, JUDGED_STEP)[1], default=0) for look in looks)
        return math.prod(1.0 + int(count) for count in hits) ** (1 / len(looks)) - 1.0


def _equalize(grey: Image) -> Image:
    return np.asarray(cv2.equalizeHist(grey), np.uint8)


def _count_hits(
    cascade: cv2.CascadeClassifier, grey: Image, side: int, step: float
) -> tuple[Sequence[Sequence[int]], Sequence[int]]:
    """Boxes of about `side` pixels, and the number of hits of each."""
    least, most = round(0.7 * side), round(1.4 * side)
    return cascade.detectMultiScale2(grey, step, 1, minSize=(least, least), maxSize=(most, most))


def _choose_crop(
    image: Shaped, box: Box, room: float, side: int
) -> tuple[Box, tuple[int, int], float]:
    """The place to cut around a box, the size that makes the box `side` wide, and the scale."""
    extent = max(box[2], box[3])
    place = pad_box(box, room * extent, image)
    scale = side / extent
    return place, (max(1, round(place[2] * scale)), max(1, round(place[3] * scale))), scale


def _align_patch(grey: Image, box: Box, room: float, tilt: float, face: int = JUDGED_SIDE) -> Image:
    """The picture around a box, turned by `tilt` degrees, the box `face` pixels wide, centred."""
    place, size, scale = _choose_crop(grey, box, 2 * room + 0.25, face)
    left, top, width, height = place
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    part = cv2.resize(grey[top : top + height, left : left + width], size, interpolation=way)
    side = round(face * (1 + 2 * room))
    middle = (
        (box[0] + box[2] / 2 - left) * scale,
        (box[1] + box[3] / 2 - top) * scale,
    )
    turn = cv2.getRotationMatrix2D(middle, tilt, 1.0)
    turn[:, 2] += np.array([side / 2 - middle[0], side / 2 - middle[1]])
    turned = cv2.warpAffine(part, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def find_problems(options: EngineOptions) -> Iterator[str]:
    if not _is_cascade(options.cascade):
        yield f"CASCADE is not a cascade that OpenCV can read: {options.cascade}"


def _is_cascade(path: str) -> bool:
    # The constructor hides OpenCV's error behind a SystemError.
    try:
        return cv2.CascadeClassifier().load(path)
    except cv2.error:
        return False
