"""What finds faces: the same of each engine."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.settings import read
from detector.detection import boxes, registry
from detector.detection.base import Engine
from detector.picture import Box, Picture
from detector.settings import DetectorSettings
from testing.clips import clips

ENGINES = ("haar", "haar-cascade", "yunet")


def create(name: str, **settings: str) -> Engine:
    engine, _, judge = name.partition("-")
    env = {"DEVICE": "box-1", "CAMERA": str(clips.CLIP), "ENGINE": engine, **settings}
    options = read(DetectorSettings, {"JUDGE": judge or "auto", **env})
    return registry.create(options.engine, options.engine_options)


def shows_the_same(one: Box, other: Box) -> bool:
    return boxes.iou(one, other) > 0.5


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3000, 1), (1, 3000), (20, 2000), (19, 19)])
def test_a_frame_of_any_shape_can_be_searched(name: str, shape: tuple[int, int]) -> None:
    empty = Picture.from_bgr(np.full((*shape, 3), 90, np.uint8))
    finder = create(name)
    assert finder.search(empty, 20) == []
    assert finder.detect_still(empty, 20) == []
    whole = (0, 0, shape[1], shape[0])
    assert finder.detect_near(empty, whole) == []
    assert finder.verify(empty, whole).score < finder.confirm_mean_score


@pytest.mark.parametrize("name", ENGINES)
def test_a_face_is_a_candidate_found_again_nearby_and_judged_to_be_one(name: str) -> None:
    picture, finder = Picture.from_bgr(clips.faces(1)[0]), create(name)
    (face,) = finder.detect_still(picture, 24)
    assert face.score >= finder.confirm_mean_score
    assert 0 < face.frontal <= 1
    assert any(shows_the_same(one.box, face.box) for one in finder.search(picture, 24))
    x, y, w, h = face.box
    moved = x + w // 6, y - h // 6, w, h
    assert any(shows_the_same(one.box, face.box) for one in finder.detect_near(picture, moved))
    assert finder.verify(picture, face.box).score >= finder.confirm_mean_score


@pytest.mark.parametrize("name", ENGINES)
def test_a_wall_beside_the_face_is_not_judged_to_be_one(name: str) -> None:
    picture, finder = Picture.from_bgr(clips.faces(1)[0]), create(name)
    (face,) = finder.detect_still(picture, 24)
    x, y, w, h = face.box
    away = (x + 3 * w) % (picture.shape[1] - w), y, w, h
    assert finder.verify(picture, away).score < finder.confirm_mean_score


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_face_is_found_where_it_is_at_any_size(name: str, scale: float) -> None:
    picture, finder = Picture.from_bgr(clips.faces(1)[0]), create(name)
    (face,) = finder.detect_still(picture, 24)
    scaled = cv2.resize(picture.bgr, None, fx=scale, fy=scale).astype(np.uint8)
    (other,) = finder.detect_still(Picture.from_bgr(scaled), 24)
    expected = [round(scale * value) for value in face.box]
    assert shows_the_same(other.box, (expected[0], expected[1], expected[2], expected[3]))


@pytest.mark.parametrize("name", ENGINES)
def test_faces_smaller_than_asked_for_are_left_out(name: str) -> None:
    picture, finder = Picture.from_bgr(clips.faces(1)[0]), create(name)
    (face,) = finder.detect_still(picture, 24)
    assert finder.detect_still(picture, 3 * face.box[2]) == []


def test_each_settings_word_for_more_hits_makes_the_cascades_surer() -> None:
    few, many = (create("haar-cascade", MIN_NEIGHBORS=hits) for hits in ("3", "8"))
    assert few.confirm_score < many.confirm_score
