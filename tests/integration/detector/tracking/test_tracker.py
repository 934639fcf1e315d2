"""Tracks and the shots of them, on small scenes whose truth is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from common.settings import read
from detector.encoding.crop import FaceCrop
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameAnalyzer
from testing.clips import scenes
from testing.clips.clips import CLIP, Image
from testing.clips.scenes import FPS, HEIGHT, WIDTH, Place, face_of, scene

SHARP, MIRRORED, BLURRED = scenes.picture(), scenes.picture(mirrored=True), scenes.picture(blur=3.0)
of_each_engine = pytest.mark.parametrize("engine", ["haar", "yunet"])
Actor = tuple[Callable[[float], Image], Callable[[float], Place]]


class Watched:
    """What a detector makes of a scene: its shots, and where each track was in each frame."""

    def __init__(self, seconds: float, *actors: Actor, capture: str, **env: str) -> None:
        names = {"CAMERA": str(CLIP), "CAPTURE": capture, **env}
        look = FrameAnalyzer(read(DetectorSettings, {"DEVICE": "box-1", **names}).analyzer_options)
        self.shots: list[FaceCrop] = []
        self.places: dict[int, dict[int, tuple[int, int, int, int]]] = {}
        for frame in scene(seconds, *actors):
            seen = look(frame)
            self.shots += seen.shots
            for track in seen.tracks:
                if track.confirmed:
                    self.places.setdefault(track.number, {})[frame.index or 0] = track.box
        self.shots += look.finish()

    def times(self) -> list[float]:
        return [shot.time for shot in self.shots]


def moving(*route: tuple[float, float, float]) -> Callable[[float], Place]:
    """A place by time along points (time, x, y); not there before the first and after the last."""

    def place(time: float) -> Place:
        for (t0, x0, y0), (t1, x1, y1) in itertools.pairwise(route):
            if t0 <= time <= t1:
                share = (time - t0) / (t1 - t0)
                return x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        return None

    return place


def always(picture: Image) -> Callable[[float], Image]:
    return lambda _: picture


def near(box: tuple[int, int, int, int], at: Place) -> bool:
    assert at is not None
    x, y, w, h = face_of(at)
    return abs(box[0] + box[2] / 2 - x - w / 2) < 0.4 * w and abs(box[1] - y) < 0.4 * h


@of_each_engine
def test_a_face_keeps_its_number_while_it_walks_across(engine: str) -> None:
    walk = moving((0, 0, 100), (4, 500, 120))
    watched = Watched(4, (always(SHARP), walk), capture="every", ENGINE=engine)
    assert list(watched.places) == [1]
    assert len(watched.places[1]) > 3.5 * FPS
    assert {shot.track for shot in watched.shots} == {watched.shots[0].track}
    assert all(near(shot.face, walk(shot.time)) for shot in watched.shots)


@of_each_engine
def test_two_faces_that_cross_keep_their_numbers(engine: str) -> None:
    right = moving((0, 40, 60), (4, 460, 60))
    left = moving((0, 460, 140), (4, 40, 140))
    watched = Watched(
        4, (always(SHARP), right), (always(MIRRORED), left), capture="every", ENGINE=engine
    )
    assert len(watched.places) == 2
    for boxes in watched.places.values():
        first, last = min(boxes), max(boxes)
        assert first < FPS
        assert last > 3 * FPS
        place = right if near(boxes[first], right(first / FPS)) else left
        assert near(boxes[last], place(last / FPS))


@of_each_engine
def test_a_face_that_is_hidden_for_less_than_a_second_keeps_its_number(engine: str) -> None:
    walk = moving((0, 60, 100), (3, 360, 100))

    def hidden(time: float) -> Place:
        return None if 1.2 < time < 1.9 else walk(time)

    watched = Watched(3, (always(SHARP), hidden), capture="every", ENGINE=engine)
    assert list(watched.places) == [1]


@of_each_engine
def test_a_face_that_leaves_and_comes_back_later_is_another_visit(engine: str) -> None:
    def place(time: float) -> Place:
        return None if 1.5 < time < 3.5 else (100 + 40 * time, 100)

    watched = Watched(5, (always(SHARP), place), capture="best", ENGINE=engine)
    assert len(watched.shots) == 2
    assert watched.times()[0] <= 1.5
    assert watched.times()[1] >= 3.5
    assert len({shot.track for shot in watched.shots}) == 2


@of_each_engine
def test_the_best_shot_of_a_visit_is_taken_while_the_face_is_sharp(engine: str) -> None:
    def blurs(time: float) -> Image:
        return SHARP if 1.4 <= time < 1.8 else BLURRED

    walk = moving((0, 60, 100), (3, 360, 100))
    watched = Watched(3.5, (blurs, walk), capture="best", ENGINE=engine)
    assert len(watched.shots) == 1
    assert 1.4 <= watched.shots[0].time < 1.8
    assert near(watched.shots[0].face, walk(watched.shots[0].time))


@of_each_engine
def test_a_face_that_is_blurred_when_it_is_first_seen_is_sent_once_it_is_sharp(engine: str) -> None:
    def blurs(time: float) -> Image:
        return BLURRED if time < 0.6 else SHARP

    walk = moving((0, 60, 100), (1, 160, 100))
    watched = Watched(2.2, (blurs, walk), capture="best", ENGINE=engine)
    assert [shot.time >= 0.6 for shot in watched.shots] == [True]


@of_each_engine
@pytest.mark.parametrize("capture", ["best", "interval"])
def test_a_poster_on_the_wall_is_sent_once(capture: str, engine: str) -> None:
    watched = Watched(6, (always(SHARP), lambda _: (200, 100)), capture=capture, ENGINE=engine)
    assert len(watched.shots) == 1


def test_each_second_the_best_shot_of_a_face_that_moves_is_sent() -> None:
    walk = moving((0, 40, 100), (5, 480, 120))
    watched = Watched(5, (always(SHARP), walk), capture="interval")
    assert 4 <= len(watched.shots) <= 6
    for second, time in enumerate(watched.times()):
        assert second <= time <= (second + 1) * (1 + 1 / FPS)


def test_a_face_that_stays_is_sent_after_a_while_and_not_again() -> None:
    walk = moving((0, 40, 100), (5, 480, 120))
    watched = Watched(5, (always(SHARP), walk), capture="best", BEST_AFTER="2")
    assert len(watched.shots) == 1
    assert watched.times()[0] <= 2.1


def test_a_face_that_enters_is_sent_whole() -> None:
    walk = moving((0, -120, 100), (3, 200, 100))
    watched = Watched(3, (always(SHARP), walk), capture="best")
    assert len(watched.shots) == 1
    x, y, w, h = watched.shots[0].face
    assert x > 0
    assert y > 0
    assert x + w < WIDTH
    assert y + h < HEIGHT


def test_nobody_in_view_gives_nothing() -> None:
    watched = Watched(3, capture="every")
    assert watched.shots == []
    assert watched.places == {}
