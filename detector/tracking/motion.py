"""Where the picture has changed: a still scene costs almost nothing to watch."""

from __future__ import annotations

import cv2
import numpy as np

from detector.detection.boxes import Box, Image

WIDTH = 160  # pixels of the picture that is compared
# Grey levels that are a change: a share of the range that the picture fills, since in the dark all
# changes are small. The noise of a picture that small is 1 to 3 levels, and less in the dark.
CHANGE, LEAST_CHANGE, MOST_CHANGE = 0.06, 4.0, 10.0
CELLS = 4  # across and down
ROOM = 0.15  # of the picture's height, searched around what has changed


def shrink(image: Image) -> Image:
    """The picture that is compared: grey, 160 pixels wide, smoothed."""
    height, width = image.shape[:2]
    size = WIDTH, max(1, round(height * WIDTH / width))
    # Green is most of what is bright, and a part of the pixels tells as much as all of them.
    step = max(1, width // (4 * WIDTH))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    reduced = cv2.resize(green, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(reduced, (3, 3)), np.uint8)


class MotionMask:
    """Between two small pictures of one frame size; without a first one, everything."""

    def __init__(self, before: Image | None, now: Image, width: int) -> None:
        self._scale = width / WIDTH
        if before is None or before.shape != now.shape:
            self._map: Image = np.ones(now.shape, np.uint8)
        else:
            self._map = (cv2.absdiff(before, now) > _least_change(now)).astype(np.uint8)

    def anywhere(self) -> bool:
        return bool(self._map.any())

    def inside(self, box: Box) -> bool:
        """Whether anything has changed in a box, in pixels of the frame."""
        x, y, w, h = (int(value / self._scale) for value in box)
        return bool(self._map[max(0, y) : y + h + 1, max(0, x) : x + w + 1].any())

    def bounds(self) -> Box:
        """The part of the frame to search: all that has changed, with room around it."""
        height, width = self._map.shape
        x, y, w, h = cv2.boundingRect(self._map)
        room = round(ROOM * height) + max(w, h) // 2
        # In whole cells, so that few sizes occur: a network is made ready for each.
        left, right = _cells(x - room, x + w + room, width)
        top, bottom = _cells(y - room, y + h + room, height)
        grown = (left, top, right - left, bottom - top)
        x, y, w, h = (int(value * self._scale) for value in grown)
        return x, y, w, h


def _least_change(picture: Image) -> float:
    low, high = np.percentile(picture, (1, 97))
    return min(MOST_CHANGE, max(LEAST_CHANGE, CHANGE * float(high - low)))


def _cells(first: int, last: int, extent: int) -> tuple[int, int]:
    """The whole cells of `extent` pixels that hold what lies from `first` to `last`."""
    begin = max(0, CELLS * first // extent)
    end = min(CELLS, -(-CELLS * last // extent))
    return begin * extent // CELLS, end * extent // CELLS
