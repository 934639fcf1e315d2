"""Clips made harder, and thresholds chosen on other clips than those they are told of."""

from __future__ import annotations

import numpy as np
import pytest

from bench.faces import clips, folds, variants
from bench.faces.data import Clip
from bench.faces.engines import Engine, Plain
from bench.faces.folds import Outcome
from bench.faces.match import Box
from bench.faces.truth import Truth, Visit
from testing.clips import clips as made

FACE: Box = (280.0, 90.0, 80.0, 100.0)
FRAMES = range(0, 60, 5)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clips") / "door.avi"
    frame = np.full((360, 640, 3), 120, np.uint8)
    frame[90:190, 280:360] = 220
    made.write(path, [frame] * 60, "FFV1")
    faces = {index: [FACE] for index in FRAMES}
    truth = Truth(5, faces, {}, [Visit(dict.fromkeys(FRAMES, FACE))])
    return Clip(path, "door.avi", truth)


@pytest.mark.parametrize("kind", list(variants.KINDS))
def test_a_variant_has_its_labels_where_the_face_is(kind: str, clip: Clip) -> None:
    (harder,) = variants.make(kind, clip)
    (visit,) = harder.truth.visits
    frames = dict(enumerate(harder.frames()))
    assert set(visit.frames) <= set(frames)
    index = visit.frames[0]
    x, y, w, h = (round(value) for value in visit.boxes[index])
    image = frames[index].mean(axis=2)
    inside = image[y + 2 * h // 3 : y + h - 2, x + w // 4 : x + 3 * w // 4].mean()
    around = image.mean()
    assert inside < around if kind == "backlit" else inside > around


def test_a_variant_is_the_same_each_time(clip: Clip) -> None:
    first, second = ([*variants.make("dim", clip)[0].frames(3)] for _ in range(2))
    assert np.array_equal(first, second)


def test_visits_of_faces_too_small_or_too_large_make_no_variant(clip: Clip) -> None:
    small = Visit(dict.fromkeys(FRAMES, (0.0, 0.0, 30.0, 30.0)))
    truth = Truth(5, clip.truth.faces, {}, [small])
    assert variants.make("dim", Clip(clip.path, "door.avi", truth)) == []


def test_clips_of_one_source_are_in_one_part() -> None:
    names = ["intel_asl_no.mkv", "intel_asl_yes.mkv", "intel_head-pose.gif", "grid_a.mpg", "b1.mp4"]
    sources = [folds.source(name) for name in names]
    assert sources[0] == sources[1]
    assert len(set(sources)) == 4
    parts = folds.split(sources, 2)
    assert sorted(parts) == sorted(set(sources))
    assert set(parts.values()) == {0, 1}


def test_the_interval_holds_the_share_and_narrows_with_more_clips() -> None:
    few = folds.interval([("a", 1, 4), ("b", 0, 4)])
    many = folds.interval([("a", 1, 4), ("b", 0, 4)] * 20)
    assert few[0] <= 1 <= few[1]
    assert (many[1] - many[0]) / 20 < few[1] - few[0]
    assert folds.interval([]) == (0.0, 0.0)


def test_thresholds_are_chosen_on_the_other_parts(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The factor that suits a part itself is not what is told of it."""
    best = {"first": 0.9, "second": 1.1}

    def look(engine: Engine, _: object, kinds: object) -> list[Outcome]:
        del kinds
        factor = float(engine.name)
        return [
            Outcome(source, folds.BASE, clips.Tally(visits=10, missed=0 if factor == own else 5))
            for source, own in best.items()
        ]

    def make(factor: float) -> Engine:
        engine = Plain()
        engine.name = str(factor)
        return engine

    monkeypatch.setattr(folds, "look", look)
    two = [Clip(clip.path, f"{name}.avi", clip.truth) for name in best]
    told = folds.run({"haar": make}, two, [], 2)
    assert "10 of 20" in told
