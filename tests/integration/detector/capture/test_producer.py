"""To add a frame producer takes its module and one line: a dummy plays the clip backwards."""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from common.png import check
from common.service import Service
from common.settings import SettingsError, read
from detector.capture import producer
from detector.capture.camera import Camera
from detector.capture.frame import Frame
from detector.capture.producer import ProducerKind, ProducerOptions, SourceError
from detector.picture import Picture
from detector.settings import DetectorSettings
from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import detector

# The dummy's module: a frame producer and `create`. The capture process imports it by its name.


class Backwards:
    """The frames of a clip from the last one to the first."""

    def __init__(self, frames: list[npt.NDArray[Any]]) -> None:
        self._frames = frames
        self._index = -1
        self.fps, self.frames, self.time = 10.0, len(frames), 0.0

    def grab(self) -> int | None:
        self._index += 1
        self.time = self._index / self.fps
        return self._index if self._index < len(self._frames) else None

    def retrieve(self) -> Picture:
        return Picture.from_bgr(self._frames[-1 - self._index])

    def describe(self) -> dict[str, str]:
        return {"direction": "backwards"}

    def close(self) -> None:
        self._frames = []


def create(address: str, options: ProducerOptions) -> Backwards:
    path = urllib.parse.urlsplit(address).path
    if not Path(path).exists():
        raise SourceError("absent", f"there is no {path}")
    return Backwards(read_clip(path))


def read_clip(path: str) -> list[npt.NDArray[Any]]:
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    frames = []
    while (answer := capture.read())[0]:
        frames.append(answer[1])
    return frames


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = ProducerKind(__name__, live=False, schemes=("backwards",))
    monkeypatch.setitem(producer.PRODUCERS, "backwards", kind)


def settings(path: str, **more: str) -> DetectorSettings:
    environ = {"DEVICE": "box-1", "CAMERA": f"backwards://clip{path}", "HTTP_PORT": "0", **more}
    return read(DetectorSettings, environ)


def test_frames_come_through_a_producer_that_was_added() -> None:
    async def watch() -> list[Frame]:
        camera = Camera(settings(str(clips.CLIP)).camera_options, Service())
        return [frame async for frame in camera.frames()]

    seen = asyncio.run(watch())
    clip = read_clip(str(clips.CLIP))
    assert [frame.index for frame in seen] == list(range(len(clip)))
    assert [frame.time for frame in seen[:3]] == [0.0, 0.1, 0.2]
    assert np.array_equal(seen[0].picture.bgr, clip[-1])
    assert np.array_equal(seen[-1].picture.bgr, clip[0])


def test_a_source_that_a_producer_cannot_open_is_an_error_of_the_settings() -> None:
    async def watch() -> None:
        async for _ in Camera(settings("/gone.mp4").camera_options, Service()).frames():
            raise AssertionError("a frame of nothing")

    with pytest.raises(SettingsError, match=re.escape("backwards://clip/gone.mp4")):
        asyncio.run(watch())


def test_the_detector_publishes_faces_from_a_producer_that_was_added(edge: Mosquitto) -> None:
    code = f"""
import runpy
from detector.capture.producer import PRODUCERS, ProducerKind
PRODUCERS["backwards"] = ProducerKind({__name__!r}, live=False, schemes=("backwards",))
runpy.run_module("detector", run_name="__main__")
"""
    service = detector(edge, f"backwards://clip{clips.CLIP}", CAPTURE="best")
    service.command = [sys.executable, "-c", code]
    with Mqtt(edge.port, "faces") as mqtt, service:
        assert service.wait(60) == 0, service.log
        captured = int(service.says(r"(\d+) captured")[1])
        until(lambda: len(mqtt.messages) == captured > 0)
    for message in mqtt.messages:
        check(message.payload)


def test_every_kind_of_camera_names_a_module_that_opens_it() -> None:
    for kind in producer.PRODUCERS.values():
        assert callable(producer.load(kind.module).create)
