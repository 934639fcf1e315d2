"""What is compared: one interface for the plain loop and the product, and the plain loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2

from bench.faces.data import Image
from bench.faces.match import LEAST, Box

NEIGHBOURS = 5
STILL_SCALE = 1.3  # step between sizes on single pictures
CLIP_SCALE = 1.1  # and on video, where fewer steps would overlook more


@dataclasses.dataclass(frozen=True)
class Sent:
    """A shot that was sent: where the face was in which frame, and its picture.

    `within`: where in the picture the face is, in its pixels.
    """

    frame: int
    face: Box
    picture: Image
    within: Box


class Follower(Protocol):
    """Is shown a clip frame by frame; says what it sends, each shot cut and encoded."""

    def see(self, image: Image, index: int) -> list[Sent]: ...

    def end(self) -> list[Sent]:
        """What is sent when the clip is over."""


class Engine(Protocol):
    name: str
    modes: tuple[str, ...]  # of CAPTURE: first that of one shot per visit, last the usual one

    def still(self, image: Image) -> list[Box]:
        """Faces in one picture."""

    def follower(self, path: Path, fps: float, capture: str) -> Follower:
        """For one clip; `capture` is one of `modes`."""


def sharpness(image: Image, box: Box) -> float:
    """Variance of the Laplacian of the box at 128 x 128 pixels, grey; 0 outside the frame.

    Written here anew: the product must not be the judge of itself.
    """
    x, y, w, h = (round(value) for value in box)
    cut = image[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    if cut.size == 0:
        return 0.0
    grey = cv2.resize(
        cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), (128, 128), interpolation=cv2.INTER_AREA
    )
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


class Plain:
    """The loop that everyone writes first: grey, detectMultiScale over all of the frame, crop,
    encode, for every frame."""

    name = "plain"
    modes: tuple[str, ...] = ("every",)

    def __init__(self, clip_scale: float = CLIP_SCALE) -> None:
        name = "haarcascade_frontalface_default.xml"
        folder = Path(cv2.__file__).parent / "data"
        self._cascade = cv2.CascadeClassifier(str(folder / name))
        self._clip_scale = clip_scale

    def still(self, image: Image) -> list[Box]:
        return self._found(image, STILL_SCALE)

    def follower(self, path: Path, fps: float, capture: str) -> Follower:  # noqa: ARG002 - Engine's
        return self

    def see(self, image: Image, index: int) -> list[Sent]:
        sent = []
        for box in self._found(image, self._clip_scale):
            x, y, w, h = (int(value) for value in box)
            face = image[y : y + h, x : x + w]
            cv2.imencode(".png", face)
            sent.append(Sent(index, box, face, (0.0, 0.0, float(w), float(h))))
        return sent

    def end(self) -> list[Sent]:
        return []

    def _found(self, image: Image, scale: float) -> list[Box]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        boxes: Sequence[Sequence[int]] = self._cascade.detectMultiScale(
            grey, scaleFactor=scale, minNeighbors=NEIGHBOURS, minSize=(LEAST, LEAST)
        )
        return [(float(x), float(y), float(w), float(h)) for x, y, w, h in boxes]
