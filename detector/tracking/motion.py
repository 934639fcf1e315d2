"""Which part of the picture has changed, so that a still scene costs almost nothing."""

from __future__ import annotations

import cv2
import numpy as np

from detector.picture import Box, Picture
from detector.planes import Image

WIDTH = 160  # pixels of the reduced pictures that are compared
# Grey levels that count as a change: a share of the picture's range, since in the dark all changes
# are small. The noise of such a small picture is 1 to 3 levels, and less in the dark.
CHANGE, LEAST_CHANGE, MOST_CHANGE = 0.06, 4.0, 10.0
CELLS = 4  # across and down
ROOM = 0.15  # share of the picture's height that is searched around a change


def shrink(picture: Picture) -> Image:
    """The picture to compare: grey, 160 pixels wide, smoothed."""
    height, width = picture.shape
    size = WIDTH, max(1, round(height * WIDTH / width))
    step = max(1, width // (4 * WIDTH))
    some = picture.sample_grey(step)  # a part of the pixels is enough
    reduced = cv2.resize(some, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(reduced, (3, 3)), np.uint8)


class MotionMask:
    """What has changed between two pictures by `shrink`; everything, if there is no first one."""

    def __init__(self, before: Image | None, now: Image, width: int) -> None:
        self._scale = width / WIDTH
        if before is None or before.shape != now.shape:
            self._map: Image = np.ones(now.shape, np.uint8)
        else:
            self._map = (cv2.absdiff(before, now) > _least_change(now)).astype(np.uint8)

    def anywhere(self) -> bool:
        """Whether anything has changed."""
        return bool(self._map.any())

    def inside(self, box: Box) -> bool:
        """Whether anything has changed in a box, in pixels of the frame."""
        x, y, w, h = (int(value / self._scale) for value in box)
        return bool(self._map[max(0, y) : y + h + 1, max(0, x) : x + w + 1].any())

    def bounds(self) -> Box:
        """The part of the frame to search: everything that has changed, with room around it."""
        height, width = self._map.shape
        x, y, w, h = cv2.boundingRect(self._map)
        room = round(ROOM * height) + max(w, h) // 2
        # In whole cells, so that few sizes occur: the network is set up for each size.
        left, right = _cells(x - room, x + w + room, width)
        top, bottom = _cells(y - room, y + h + room, height)
        grown = (left, top, right - left, bottom - top)
        x, y, w, h = (int(value * self._scale) for value in grown)
        return x, y, w, h


def _least_change(picture: Image) -> float:
    low, high = np.percentile(picture, (1, 97))
    return min(MOST_CHANGE, max(LEAST_CHANGE, CHANGE * float(high - low)))


def _cells(first: int, last: int, extent: int) -> tuple[int, int]:
    """From `first` to `last`, widened to whole cells of `extent` pixels."""
    begin = max(0, CELLS * first // extent)
    end = min(CELLS, -(-CELLS * last // extent))
    return begin * extent // CELLS, end * extent // CELLS
