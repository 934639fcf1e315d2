"""The cascade with a second opinion: YuNet judges what the cascade points at, and looks itself.

The cascade sees faces that look straight into the camera, in good light; the network sees tilted
heads, hats and dim faces, too, at a fraction of the time. So the network looks often, the cascade
now and then, and the network's score tells what is a face.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from detector.detection import haar, yunet
from detector.detection.base import Detection, Engine
from detector.detection.boxes import SAME, Box, Image, iou, nms
from detector.detection.registry import EngineOptions


def create(options: EngineOptions) -> Engine:
    """The cascade alone, or judged by YuNet where its model is and JUDGE asks for it."""
    cascade = haar.Haar(options.cascade, options.scale_factor, options.min_neighbors)
    if options.judge == "auto" and options.model:
        return JudgedCascade(cascade, yunet.YuNet(options.model))
    return cascade


def find_problems(options: EngineOptions) -> Iterator[str]:
    yield from haar.find_problems(options)
    if options.judge == "auto" and options.model and not yunet.is_model(options.model):
        yield f"YUNET_MODEL is no model that OpenCV can read: {options.model}"


class JudgedCascade:
    """The score is YuNet's, 0 to 1, whichever of the two found the face."""

    name = "haar"

    def __init__(self, cascade: haar.Haar, network: yunet.YuNet) -> None:
        self._cascade = cascade
        self._network = network
        self.once, self.often, self.shown = network.once, network.often, network.shown
        self.pause = network.pause

    def search(
        self, image: Image, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        found = self._network.search(image, min_side, most, deep=deep)
        return _joined(found, self._cascade.search(image, min_side, most)) if deep else found

    def near(self, image: Image, box: Box) -> list[Detection]:
        return self._network.near(image, box)

    def judged(self, image: Image, box: Box) -> Detection:
        return self._network.judged(image, box)

    def thorough(self, image: Image, min_side: float, most: float = 1.0) -> list[Detection]:
        found = self._network.thorough(image, min_side, most)
        proposed = self._cascade.search(image, min_side, most)
        joined = [
            one if one.evidence else dataclasses.replace(self.judged(image, one.box), engine="haar")
            for one in _joined(found, proposed)
        ]
        return nms(one for one in joined if one.score >= yunet.SCORE)


def _joined(found: list[Detection], proposed: list[Detection]) -> list[Detection]:
    """What the network found and the cascade proposed; what both see, the cascade found."""
    joined = [
        dataclasses.replace(one, engine="haar") if _seen(one, proposed) else one for one in found
    ]
    return joined + [one for one in proposed if not _seen(one, found)]


def _seen(one: Detection, others: list[Detection]) -> bool:
    return any(iou(one.box, other.box) >= SAME for other in others)
