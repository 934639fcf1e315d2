"""When all of a frame is searched, and when only the faces that are followed are looked for."""

from __future__ import annotations

import numpy as np
import pytest

from detector.detection.base import Detection
from detector.picture import Box, Picture
from detector.tracking import scheduler
from detector.tracking.scheduler import DetectionScheduler
from detector.tracking.tracker import Track

BOX = (40, 40, 30, 30)
PAUSE = 0.4  # seconds between two searches while nobody is in view


class Clock:
    """Stands still but for the work that is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Slow:
    """An engine that finds nothing in all of a frame, and takes `seconds` for it."""

    name = "slow"
    confirm_score = confirm_mean_score = shot_score = 1.0
    idle_pause = PAUSE

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self.searches = 0

    def search(
        self, picture: Picture, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        self.searches += 1
        self._clock.now += self._seconds
        return []

    def detect_near(self, picture: Picture, box: Box) -> list[Detection]:
        return [Detection(box, 0.0)]

    def verify(self, picture: Picture, box: Box) -> Detection:
        return Detection(box, 0.0)

    def detect_still(self, picture: Picture, min_side: float, most: float = 1.0) -> list[Detection]:
        return []


def searches(monkeypatch: pytest.MonkeyPatch, took: float, *tracks: Track, live: bool) -> int:
    """How often all of a frame was searched in six seconds in which everything moved."""
    clock = Clock()
    monkeypatch.setattr(scheduler, "clock", clock)
    engine = Slow(clock, took)
    finder = DetectionScheduler(engine, 0.1, 960, hold=True, live=live)
    for index in range(150):
        image = np.full((90, 160, 3), 100 * (index % 2), np.uint8)
        finder.find(Picture.from_bgr(image), list(tracks), index / 25)
    return engine.searches


def test_searches_of_a_live_camera_leave_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = searches(monkeypatch, 0.01, live=True)
    assert usual == pytest.approx(6 / PAUSE, abs=1)
    assert searches(monkeypatch, 0.1, live=True) == usual
    assert searches(monkeypatch, 0.5, live=True) == pytest.approx(6, abs=1)


def test_a_file_waits_and_is_searched_as_often_on_any_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert searches(monkeypatch, 0.5, live=False) == searches(monkeypatch, 0.01, live=False)


def test_others_are_looked_for_more_often_once_a_face_is_in_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = Track(1, "1", BOX, 0.0, 0.0)
    face = Track(2, "2", BOX, 0.0, 0.0, confirmed=True)
    nobody = searches(monkeypatch, 0.01, live=True)
    assert searches(monkeypatch, 0.01, candidate, live=True) == nobody
    assert searches(monkeypatch, 0.01, face, live=True) > nobody
