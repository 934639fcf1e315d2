"""What the best shot of a face is: sharp, frontal, whole.

ISO/IEC 29794-5 (face image quality) names these among the properties that make a picture of a face
useful. Size counts through sharpness: a face that is brought from few pixels to 128 has no detail.
"""

from __future__ import annotations

import cv2

from detector.engine import Box, Image

SIDE = 128  # pixels to which a face is brought, since the variance grows as a face gets smaller
HALF_SHARP = 1000.0  # the sharpness worth one half; few reach it, so that sharper is better


def sharpness(image: Image, face: Box) -> float:
    """Variance of the Laplacian of the face at 128 x 128 pixels, grey.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    x, y, w, h = face
    grey = cv2.cvtColor(image[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0] ** 2)


def quality(sharp: float, frontal: float, face: Box, image: Image) -> float:
    """From 0 to 1: sharpness / (sharpness + 1000) x (5 + frontal) / 6 x whole.

    `whole` is 1, or 0.7 for a face that touches the edge of the frame, which may be cut off.
    """
    x, y, w, h = face
    height, width = image.shape[:2]
    whole = 1.0 if x > 0 and y > 0 and x + w < width and y + h < height else 0.7
    return sharp / (sharp + HALF_SHARP) * (5 + frontal) / 6 * whole
