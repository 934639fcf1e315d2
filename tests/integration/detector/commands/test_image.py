"""`python -m detector --image`: single pictures, as a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from testing.clips import clips
from testing.services.detector import run
from testing.services.process import ROOT


def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A picture of 640 x 360 with one face, at about 260, 71 to 343, 154."""
    path = tmp_path / "portrait.png"
    cv2.imwrite(str(path), clips.faces(1)[0])
    return path


def centre(face: dict[str, Any]) -> tuple[float, float]:
    x, y, w, h = face["box"]
    return x + w / 2, y + h / 2


def test_a_pictures_faces_are_told_in_one_line_of_json(portrait: Path) -> None:
    done = run("--image", portrait)
    assert done.returncode == 0, done.stderr
    [one] = told(done)
    assert one["image"] == str(portrait)
    assert (one["width"], one["height"], one["engine"]) == (640, 360, "haar")
    [face] = one["faces"]
    assert set(face) == {"box", "score", "sharpness", "quality"}
    assert centre(face) == pytest.approx((301, 112), abs=15)
    assert face["sharpness"] > 0
    assert 0 < face["quality"] < 1


def test_what_cannot_be_read_is_named_and_the_others_are_done(
    portrait: Path, tmp_path: Path
) -> None:
    wall, text = tmp_path / "wall.jpg", tmp_path / "text.png"
    cv2.imwrite(str(wall), np.full((100, 200, 3), 90, np.uint8))
    text.write_text("no picture")
    done = run("--image", text, portrait, tmp_path / "gone.png", tmp_path, wall)
    assert done.returncode == 1
    assert [(one["image"], len(one["faces"])) for one in told(done)] == [
        (str(portrait), 1),
        (str(wall), 0),
    ]
    for path in (text, tmp_path / "gone.png", tmp_path):
        assert f"{path} cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_grey_and_deep_pictures_are_searched_as_any_other(portrait: Path, tmp_path: Path) -> None:
    grey, deep = tmp_path / "grey.jpg", tmp_path / "deep.png"
    image = cv2.imread(str(portrait), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    cv2.imwrite(str(grey), image)
    cv2.imwrite(str(deep), image.astype(np.uint16) * 257)
    assert [len(one["faces"]) for one in told(run("--image", grey, deep))] == [1, 1]


def test_settings_of_the_camera_are_followed(portrait: Path) -> None:
    [masked] = told(run("--image", portrait, MASK="0.3,0,0.4,1"))
    assert masked["faces"] == []
    [large] = told(run("--image", portrait, MIN_FACE=0.6))
    assert large["faces"] == []
    [turned] = told(run("--image", portrait, ROTATE=90))
    assert (turned["width"], turned["height"]) == (360, 640)
    done = run("--image", portrait, MIN_FACE=7)
    assert done.returncode == 2
    assert "MIN_FACE" in done.stderr


def test_annotated_pictures_show_a_box_around_the_face_and_change_nothing_else(
    portrait: Path, tmp_path: Path
) -> None:
    before = portrait.read_bytes()
    done = run("--image", portrait, "--annotate", tmp_path / "new" / "folder")
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "new" / "folder").iterdir()
    drawn, image = cv2.imread(str(path)), cv2.imread(str(portrait))
    assert drawn is not None
    assert image is not None
    assert drawn.shape == image.shape
    x, y, w, h = told(done)[0]["faces"][0]["box"]
    changed = np.any(drawn != image, axis=2)
    assert changed[y, x : x + w].all()
    assert changed[y : y + h, x].all()
    assert not changed[y + h // 3 : y + h * 2 // 3, x + w // 3 : x + w * 2 // 3].any()
    assert not changed[:, : x // 2].any()
    assert portrait.read_bytes() == before


def test_annotated_pictures_of_one_name_are_kept_apart_and_no_input_is_overwritten(
    portrait: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    same, likely = other / "portrait.png", other / "portrait-faces.png"
    for path in (same, likely):
        path.write_bytes(portrait.read_bytes())
    done = run("--image", portrait, same, likely, "--annotate", other)
    assert done.returncode == 0, done.stderr
    assert same.read_bytes() == likely.read_bytes() == portrait.read_bytes()
    assert sorted(path.name for path in other.iterdir()) == [
        "portrait-faces-2.png",
        "portrait-faces-3.png",
        "portrait-faces-faces.png",
        "portrait-faces.png",
        "portrait.png",
    ]


def test_a_folder_that_cannot_be_made_is_said_before_any_work(portrait: Path) -> None:
    done = run("--image", portrait, "--annotate", portrait / "below")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--annotate" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_tells_of_it_and_annotate_alone_makes_no_sense() -> None:
    assert "--image FILE" in run("--help").stdout
    alone = run("--annotate", "somewhere")
    assert alone.returncode == 2
    assert "--annotate only works with --image" in alone.stderr


def test_nobody_reading_on_ends_it_without_a_traceback(portrait: Path) -> None:
    command = [sys.executable, "-m", "detector", "--image", *[str(portrait)] * 3]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
