"""The cascade with a second opinion: YuNet verifies its candidates, and searches by itself.

The cascade detects faces that look straight into the camera, in good light. The network also
detects tilted heads, hats and dim faces, in a fraction of the time. So the network searches often,
the cascade now and then, and the network's score decides what is a face.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from detector.detection import haar, yunet
from detector.detection.base import Detection, Engine
from detector.detection.boxes import SAME, iou, nms
from detector.detection.registry import EngineOptions
from detector.picture import Box, Picture


def create(options: EngineOptions) -> Engine:
    """The cascade alone, or verified by YuNet if JUDGE=auto and the model is there."""
    cascade = haar.Haar(options.cascade, options.scale_factor, options.min_neighbors)
    if options.judge == "auto" and options.model:
        return JudgedCascade(cascade, yunet.YuNet(options.model))
    return cascade


def find_problems(options: EngineOptions) -> Iterator[str]:
    yield from haar.find_problems(options)
    if options.judge == "auto" and options.model and not yunet.is_model(options.model):
        yield f"YUNET_MODEL is not a model that OpenCV can read: {options.model}"


class JudgedCascade:
    """Scores are YuNet's, 0 to 1, whichever of the two detected the face."""

    name = "haar"

    def __init__(self, cascade: haar.Haar, network: yunet.YuNet) -> None:
        self._cascade = cascade
        self._network = network
        self.confirm_score = network.confirm_score
        self.confirm_mean_score = network.confirm_mean_score
        self.shot_score, self.idle_pause = network.shot_score, network.idle_pause

    def search(
        self, picture: Picture, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        found = self._network.search(picture, min_side, most, deep=deep)
        return _join(found, self._cascade.search(picture, min_side, most)) if deep else found

    def detect_near(self, picture: Picture, box: Box) -> list[Detection]:
        return self._network.detect_near(picture, box)

    def verify(self, picture: Picture, box: Box) -> Detection:
        return self._network.verify(picture, box)

    def detect_still(self, picture: Picture, min_side: float, most: float = 1.0) -> list[Detection]:
        found = self._network.detect_still(picture, min_side, most)
        proposed = self._cascade.search(picture, min_side, most)
        joined = [
            one if one.evidence else self._verify_proposed(picture, one.box)
            for one in _join(found, proposed)
        ]
        return nms(one for one in joined if one.score >= yunet.SCORE)

    def _verify_proposed(self, picture: Picture, box: Box) -> Detection:
        return dataclasses.replace(self.verify(picture, box), engine=self.name)


def _join(found: list[Detection], proposed: list[Detection]) -> list[Detection]:
    """Detections of both; those that both have count as the cascade's."""
    joined = [
        dataclasses.replace(one, engine="haar") if _overlaps(one, proposed) else one
        for one in found
    ]
    return joined + [one for one in proposed if not _overlaps(one, found)]


def _overlaps(one: Detection, others: list[Detection]) -> bool:
    return any(iou(one.box, other.box) >= SAME for other in others)
