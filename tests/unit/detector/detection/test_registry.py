"""To add an engine takes its module and one line: a dummy finds the white squares of a frame."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from common.settings import read
from detector.capture.frame import Frame
from detector.detection import registry
from detector.detection.base import Detection, Engine
from detector.detection.registry import EngineOptions
from detector.picture import Box, Picture
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameAnalyzer

# The dummy's module: an engine, `create` and `find_problems`.


class SquareEngine:
    name = "squares"
    confirm_score, confirm_mean_score, shot_score = 0.5, 0.5, 0.5
    idle_pause = 0.2

    def search(
        self, picture: Picture, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        bright = (picture.grey > 200).astype(np.uint8)
        found, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        boxes = [tuple(map(int, cv2.boundingRect(contour))) for contour in found]
        return [
            Detection((x, y, w, h), 1.0, 1.0, True, self.name)
            for x, y, w, h in boxes
            if w >= min_side
        ]

    def detect_near(self, picture: Picture, box: Box) -> list[Detection]:
        return self.search(picture, 1)

    def verify(self, picture: Picture, box: Box) -> Detection:
        return Detection(box, 1.0, 1.0, True, self.name)

    def detect_still(self, picture: Picture, min_side: float, most: float = 1.0) -> list[Detection]:
        return self.search(picture, min_side)


def create(options: EngineOptions) -> Engine:
    return SquareEngine()


def find_problems(options: EngineOptions) -> Iterator[str]:
    yield from ()


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ENGINES, "squares", sys.modules[__name__].__name__)


def frame(index: int) -> Frame:
    image = np.full((360, 640, 3), 60, np.uint8)
    left = 100 + 4 * index
    image[120:220, left : left + 100] = np.random.default_rng(index).integers(
        210, 255, (100, 100, 1), np.uint8
    )
    return Frame(Picture.from_bgr(image), index, 1_700_000_000 + index / 25, index / 25)


def test_frames_go_through_an_engine_that_was_added() -> None:
    options = read(DetectorSettings, {"DEVICE": "box-1"}).analyzer_options
    analyzer = FrameAnalyzer(dataclasses.replace(options, engine="squares"))
    shots = [shot for index in range(60) for shot in analyzer(frame(index)).shots]
    shots += analyzer.finish()
    assert shots
    assert {shot.engine for shot in shots} == {"squares"}
    assert {shot.track for shot in shots} == {shots[0].track}
    assert all(shot.face[2:] == (100, 100) for shot in shots)


def test_every_engine_of_the_registry_has_what_an_engine_has() -> None:
    settings = read(DetectorSettings, {"DEVICE": "box-1"})
    for name in registry.ENGINES:
        module = registry.load(name)
        assert list(module.find_problems(settings.engine_options)) == []
        engine = module.create(settings.engine_options)
        assert engine.search(Picture.from_bgr(np.zeros((90, 160, 3), np.uint8)), 20) == []
