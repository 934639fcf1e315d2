"""A detector whose faces come ready made: all of it runs, but for camera, search and encoding.

Run as `python -m bench.ready` with the detector's settings, and in the environment:
BENCH_KB, the size of a face; BENCH_RATE, faces a second, or 0 for as fast as possible;
BENCH_FACES, after how many there are no more; BENCH_WAITING, how many may wait, or 0 for any.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from bench.pictures import SIDE, picture
from common.protocol import clock
from common.protocol.face import Face, Ids
from common.service import Service, main
from detector import metrics, pipeline, service
from detector.capture.frame import Frame
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameResult

PICTURES = 64  # different ones, in turn
TURN = 8  # faces per frame when there is no pace, as many as may be found in a crowd
BLANK = np.zeros((1, 1, 3), np.uint8)

_KB = float(os.environ.get("BENCH_KB", "30"))
_RATE = float(os.environ.get("BENCH_RATE", "0"))
_FACES = int(os.environ.get("BENCH_FACES", "1000"))
_WAITING = int(os.environ.get("BENCH_WAITING", "0"))


class ReadyCamera:
    """In place of detector.camera.Camera."""

    live = False  # it can wait when there is no room

    def __init__(self, _settings: DetectorSettings, _service: Service) -> None:
        self.ended = False
        self.skipped = 0

    async def frames(self) -> AsyncGenerator[Frame, None]:
        due = time.monotonic()
        for index in range(0, _FACES, 1 if _RATE else TURN):
            if _RATE:
                due += 1 / _RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            while _WAITING and metrics.FACES.of and metrics.FACES.of.waiting > _WAITING:
                await asyncio.sleep(0.001)
            yield Frame(BLANK, index, time.time(), time.monotonic())
        self.ended = True


class ReadyLook:
    """In place of detector.loop.Look."""

    def __init__(self, settings: DetectorSettings) -> None:
        self._ids = Ids()
        self._pictures = [picture(_KB, seed) for seed in range(PICTURES)]
        self._facts = {
            "device": settings.device,
            "camera": settings.camera_name,
            "frame": "640x360",
            "face": "120,80,72,72",
            "box": f"100,60,{SIDE},{SIDE}",
            "engine": "haar",
            "score": "4.2",
            "sharpness": "321.5",
        }

    def __call__(self, frame: Frame) -> FrameResult:
        count = 1 if _RATE else TURN
        at = {"captured": clock.to_rfc3339(frame.at), "clock": clock.judge_clock(frame.at)}
        index = frame.index or 0
        faces: list[Any] = [
            Face(
                self._pictures[(index + number) % PICTURES],
                {"id": self._ids.next(), **self._facts, **at, "frame_index": str(index)},
            )
            for number in range(count)
        ]
        return FrameResult(frame.image, [], faces, {})

    def finish(self) -> list[Any]:
        return []


class ReadyEncode:
    """In place of detector.loop.Encode: they are encoded already."""

    def __init__(self, _settings: DetectorSettings) -> None:
        pass

    def __call__(self, face: Face) -> Face:
        return face


if __name__ == "__main__":
    replaced: Any = service
    replaced.Camera = ReadyCamera
    replaced = pipeline
    replaced.Look, replaced.Encode = ReadyLook, ReadyEncode
    main("detector", __doc__, DetectorSettings, service.run)
