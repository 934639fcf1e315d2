"""Visitors whom no cascade for frontal faces sees: each is sent, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from common.settings import read
from detector.capture.frame import Frame
from detector.encoding.crop import FaceCrop
from detector.picture import Box, Picture
from detector.planes import Image
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameAnalyzer
from testing.clips import scenes
from testing.clips.clips import CLIP

TILT = 22.0  # degrees
LIGHT, NOISE = 0.2, 4.0  # share of the light; grey levels
Look = Callable[[], Image]


def with_hat_glasses_and_tilt() -> Image:
    """A hat down to the brows, dark rims, and the head bent to the side."""
    drawn = scenes.picture()
    x, y, w, h = scenes.face_of((0, 0))
    middle = x + w // 2
    cv2.ellipse(drawn, (middle, y + h // 5), (w // 2 + 4, h // 2), 0, 180, 360, (50, 40, 36), -1)
    cv2.ellipse(drawn, (middle, y + h // 5), (w // 2 + 18, 5), 0, 0, 360, (40, 32, 28), -1)
    for side in (-1, 1):
        cv2.circle(drawn, (middle + side * w // 5, y + 2 * h // 5), w // 7, (25, 25, 25), 2)
    turn = cv2.getRotationMatrix2D((scenes.SIDE / 2, scenes.SIDE / 2), TILT, 1.0)
    size = scenes.SIDE, scenes.SIDE
    turned = cv2.warpAffine(drawn, turn, size, borderMode=cv2.BORDER_REPLICATE)
    return turned.astype(np.uint8, copy=False)


def passing(picture: Image, seconds: float, fps: float, left: float) -> Iterator[Frame]:
    """The picture before a wall, moving a little; `left` is where it begins."""
    frames = list(
        scenes.scene(seconds, (lambda _: picture, lambda time: (left + 6 * time, 90.0 + 4 * time)))
    )
    yield from frames[:: max(1, round(scenes.FPS / fps))]


def darkened(frame: Frame) -> Frame:
    noise = np.random.default_rng(frame.index).normal(0, NOISE, frame.picture.bgr.shape)
    dark = np.clip(LIGHT * frame.picture.bgr + noise, 0, 255).astype(np.uint8)
    return Frame(Picture.from_bgr(dark), frame.index, frame.at, frame.time)


def cut_at_the_border(frame: Frame) -> Frame:
    """The left of the frame is away, and with it a part of the face."""
    return Frame(
        Picture.from_bgr(frame.picture.bgr[:, 160:].copy()), frame.index, frame.at, frame.time
    )


def shots(frames: Iterator[Frame], **env: str) -> list[FaceCrop]:
    names = {"DEVICE": "box-1", "CAMERA": str(CLIP), "CAPTURE": "best", **env}
    analyzer = FrameAnalyzer(read(DetectorSettings, names).analyzer_options)
    sent = [shot for frame in frames for shot in analyzer(frame).shots]
    return sent + analyzer.finish()


def holds(box: Box, point: tuple[float, float]) -> bool:
    x, y, w, h = box
    return x <= point[0] <= x + w and y <= point[1] <= y + h


@pytest.mark.parametrize("engine", ["haar", "yunet"])
@pytest.mark.parametrize("fps", [25.0, 1.0])
def test_a_tilted_head_with_hat_and_glasses_is_sent_once(engine: str, fps: float) -> None:
    (shot,) = shots(passing(with_hat_glasses_and_tilt(), 3.0, fps, 200), ENGINE=engine)
    x, y, w, h = scenes.face_of((200 + 6 * shot.time, 90 + 4 * shot.time))
    assert holds(shot.face, (x + w / 2, y + h / 2))


@pytest.mark.parametrize("engine", ["haar", "yunet"])
def test_a_face_in_a_fifth_of_the_light_is_sent_once(engine: str) -> None:
    frames = map(darkened, passing(scenes.picture(), 2.0, scenes.FPS, 200))
    (shot,) = shots(frames, ENGINE=engine)
    x, y, w, h = scenes.face_of((200 + 6 * shot.time, 90 + 4 * shot.time))
    assert holds(shot.face, (x + w / 2, y + h / 2))


@pytest.mark.parametrize("engine", ["haar", "yunet"])
def test_a_face_that_the_border_cuts_off_is_sent_once(engine: str) -> None:
    # Its left seventh is out of the frame at first.
    frames = map(cut_at_the_border, passing(scenes.picture(), 2.0, scenes.FPS, 124))
    (shot,) = shots(frames, ENGINE=engine)
    assert shot.face[0] < 10


def test_a_small_face_before_a_wall_of_one_colour_is_sent_once() -> None:
    face = cv2.resize(scenes.picture(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)

    def frames() -> Iterator[Frame]:
        for index in range(50):
            image = np.full((720, 1280, 3), 120, np.uint8)
            left = 600 + index
            image[300 : 300 + face.shape[0], left : left + face.shape[1]] = face
            yield Frame(Picture.from_bgr(image), index, 1_700_000_000 + index / 25, index / 25)

    (shot,) = shots(frames(), ENGINE="yunet")
    assert 300 <= shot.face[1] <= 340


@pytest.mark.parametrize("engine", ["haar", "yunet"])
def test_an_empty_wall_in_the_dark_sends_nothing(engine: str) -> None:
    assert shots(map(darkened, scenes.scene(3.0)), ENGINE=engine) == []


def test_the_engine_that_found_the_face_first_is_told() -> None:
    (shot,) = shots(passing(scenes.picture(), 2.0, scenes.FPS, 200))
    assert shot.engine in ("haar", "yunet")
    (alone,) = shots(passing(scenes.picture(), 2.0, scenes.FPS, 200), JUDGE="cascade")
    assert alone.engine == "haar"
    assert alone.score > 1 >= shot.score
