"""From a detection to a PNG: cut out at full resolution, measured, encoded without loss."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from detector.cascade import Box, Image
from detector.settings import Region

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class CannotEncode(Exception):
    """OpenCV could not make a PNG of it."""


@dataclasses.dataclass(frozen=True)
class Shot:
    """An encoded face. `box`: the rectangle cut, frame pixels; `scale`: below 1 if made smaller."""

    png: bytes
    box: Box
    scale: float


def upright(image: Image, degrees: int) -> Image:
    """The frame turned clockwise."""
    return image if degrees == 0 else cv2.rotate(image, _TURNS[degrees]).astype(np.uint8)


def blacken(image: Image, regions: tuple[Region, ...]) -> None:
    """Take regions (fractions of the frame) out of the picture, for search and shots alike."""
    height, width = image.shape[:2]
    for x, y, w, h in regions:
        rows = slice(math.floor(y * height), math.ceil((y + h) * height))
        columns = slice(math.floor(x * width), math.ceil((x + w) * width))
        image[rows, columns] = 0


def widened(face: Box, margin: float, width: int, height: int) -> Box:
    """`face` with `margin` of its size added on each side, clipped to the frame."""
    x, y, w, h = face
    across, down = round(w * margin), round(h * margin)
    left, top = max(0, x - across), max(0, y - down)
    right, bottom = min(width, x + w + across), min(height, y + h + down)
    return left, top, right - left, bottom - top


def sharpness(image: Image, face: Box) -> float:
    """Variance of the Laplacian of the face at 128 x 128 pixels, grey.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000. One size for
    all, since the variance grows as a face gets smaller.
    """
    x, y, w, h = face
    grey = cv2.cvtColor(image[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, (128, 128), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def take(image: Image, face: Box, margin: float, max_bytes: int) -> Shot:
    """Cut the face out of the frame and encode it, in `max_bytes` or less.

    Raises:
        CannotEncode: OpenCV failed at it.
    """
    height, width = image.shape[:2]
    box = x, y, w, h = widened(face, margin, width, height)
    whole = image[y : y + h, x : x + w]
    png = _encode(whole)
    scale = 1.0
    while len(png) > max_bytes:
        # Bytes go with the area; a little less, since small pictures compress less well.
        scale *= 0.95 * math.sqrt(max_bytes / len(png))
        size = max(1, round(w * scale)), max(1, round(h * scale))
        png = _encode(cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.uint8))
    return Shot(png, box, scale)


def _encode(image: Image) -> bytes:
    # OpenCV's default is its fastest: level 1, run lengths. Naming a level would undo that.
    ok, png = cv2.imencode(".png", image)
    if not ok:
        raise CannotEncode(f"no PNG of {image.shape[1]} x {image.shape[0]} pixels")
    return png.tobytes()
