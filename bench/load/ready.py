"""A detector whose faces are ready-made: all of it runs but camera, search and encoding.

Run as `python -m bench.load.ready` with the detector's settings, and in the environment:
BENCH_KB, the size of a face; BENCH_RATE, faces a second, 0 for as fast as possible; BENCH_FACES,
how many there are; BENCH_WAITING, how many may wait for their receipt, 0 for any number.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator

import numpy as np

from bench.load.pictures import SIDE, picture
from common.protocol import clock
from common.protocol.face import Face, Ids
from common.service import Service, main
from detector import metrics, service
from detector.capture.frame import Frame
from detector.encoding.crop import FaceCrop
from detector.picture import Picture
from detector.settings import DetectorSettings
from detector.station import Equipment
from detector.tracking.analyzer import FrameResult

PICTURES = 64  # different ones, in turn
CROWD = 8  # faces of a frame where there is no pace
BLANK = np.zeros((1, 1, 3), np.uint8)

_KB = float(os.environ.get("BENCH_KB", "30"))
_RATE = float(os.environ.get("BENCH_RATE", "0"))
_FACES = int(os.environ.get("BENCH_FACES", "1000"))
_WAITING = int(os.environ.get("BENCH_WAITING", "0"))


class ReadyCamera:
    """A `FrameSource` of blank frames."""

    live = False  # it waits while the outbox has no room

    def __init__(self) -> None:
        self.ended = False
        self.skipped = 0

    async def frames(self) -> AsyncGenerator[Frame, None]:
        due = time.monotonic()
        for index in range(0, _FACES, 1 if _RATE else CROWD):
            if _RATE:
                due += 1 / _RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            while _WAITING and _count_waiting() > _WAITING:
                await asyncio.sleep(0.001)
            yield Frame(Picture.from_bgr(BLANK), index, time.time(), time.monotonic())
        self.ended = True


class ReadyAnalyzer:
    """An `Analyzer` that sees a face in each frame, or a crowd where there is no pace."""

    def __call__(self, frame: Frame) -> FrameResult:
        return FrameResult(frame.picture, [], [_crop(frame)] * (1 if _RATE else CROWD), {})

    def finish(self) -> list[FaceCrop]:
        return []


def _crop(frame: Frame) -> FaceCrop:
    return FaceCrop(
        image=frame.picture.bgr,
        box=(100, 60, SIDE, SIDE),
        face=(120, 80, 72, 72),
        frame_size=(640, 360),
        frame_index=frame.index,
        at=frame.at,
        time=frame.time,
        score=4.2,
        sharpness=321.5,
        quality=0.731,
        track="0123456789abcdef",
        engine="haar",
    )


class ReadyEncoder:
    """An `Encoder` whose PNGs were made beforehand."""

    def __init__(self, settings: DetectorSettings) -> None:
        self._pictures = [picture(_KB, seed) for seed in range(PICTURES)]
        self._names = {"device": settings.device, "camera": settings.camera_name}
        self._ids = Ids()
        self._encoded = 0

    def __call__(self, shot: FaceCrop) -> Face:
        self._encoded += 1
        facts = {
            "id": self._ids.next(),
            **self._names,
            "captured": clock.to_rfc3339(shot.at),
            "clock": clock.judge_clock(shot.at),
            "frame": "640x360",
            "face": ",".join(map(str, shot.face)),
            "box": ",".join(map(str, shot.box)),
            "engine": shot.engine,
            "score": f"{shot.score:.3g}",
            "sharpness": f"{shot.sharpness:.1f}",
        }
        return Face(self._pictures[self._encoded % PICTURES], facts)


def _count_waiting() -> int:
    return sum(accounts.waiting for accounts in metrics.FACES.of.values())


async def run(settings: DetectorSettings, own: Service) -> int:
    equipment = Equipment(ReadyCamera(), ReadyAnalyzer, ReadyEncoder(settings))
    return await service.detect(settings, own, lambda *_: equipment)


if __name__ == "__main__":
    main("detector", __doc__, DetectorSettings, run)
