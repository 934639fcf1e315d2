"""How good a shot of a face is: sharp, frontal, whole.

ISO/IEC 29794-5 (face image quality) lists these among the properties that make a picture of a face
useful. Size counts through sharpness: a face enlarged from few pixels to 128 has no detail.
"""

from __future__ import annotations

import statistics

import cv2

from detector.detection.boxes import Shaped, clip_box
from detector.picture import Box, Picture

SIDE = 128  # pixels to which a face is scaled, since the variance grows as a face gets smaller
HALF_SHARP = 1000.0  # sharpness that counts one half; few faces reach it, so sharper is better
SLIM = 0.74  # width / height of a head: the sides of a square box show the background
SIZES = (0.7, 0.85, 1.0, 1.15, 1.3)  # of the box, which varies by a tenth from frame to frame


def sharpness(picture: Picture, face: Box) -> float:
    """Variance of the Laplacian of the face at 128 x 128 pixels, grey; the mean of five sizes.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    left, top, width, height = _core(picture, face, max(SIZES))
    grey = picture.cut((left, top, width, height)).grey
    variances = []
    for size in SIZES:
        x, y, w, h = _core(picture, face, size)
        cut = grey[y - top : y - top + h, x - left : x - left + w]
        small = cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        _, deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))
        variances.append(float(deviation[0, 0] ** 2))
    return statistics.fmean(variances)


def _core(image: Shaped, face: Box, size: float) -> Box:
    """The part of a box that a head fills, scaled by `size` and clipped to the picture."""
    x, y, w, h = face
    width, height = size * min(w, SLIM * h), size * h
    return clip_box((x + (w - width) / 2, y + (h - height) / 2, width, height), image)


def quality(sharp: float, frontal: float, face: Box, image: Shaped) -> float:
    """From 0 to 1: sharpness / (sharpness + 1000) x (5 + frontal) / 6 x whole.

    `whole` is 1, or 0.7 for a face that touches the edge of the frame, which may be cut off.
    """
    x, y, w, h = face
    height, width = image.shape[:2]
    whole = 1.0 if x > 0 and y > 0 and x + w < width and y + h < height else 0.7
    return sharp / (sharp + HALF_SHARP) * (5 + frontal) / 6 * whole
