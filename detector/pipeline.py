"""The pipeline: each frame of a camera is analyzed and shown, and the chosen shots are sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from common.protocol.face import Face
from common.runtime.health import Health
from common.runtime.workers import Workers
from common.service import Service
from detector import metrics
from detector.capture.camera import read_ahead
from detector.capture.frame import Frame
from detector.delivery.interface import Delivery
from detector.encoding.crop import FaceCrop
from detector.preview.parts import Mark
from detector.preview.view import Preview
from detector.throughput import Throughput
from detector.tracking.analyzer import FrameResult
from detector.tracking.tracker import Track

SHOTS_AHEAD = 16  # shots that may wait to be encoded
Frames = AsyncGenerator[Frame, None]
Encoder = Callable[[FaceCrop], Face | None]


class FrameSource(Protocol):
    """Where frames come from, such as a `Camera`."""

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, and late readers miss some."""

    @property
    def ended(self) -> bool:
        """Whether no more frames will come."""

    @property
    def skipped(self) -> int:
        """Number of frames that came too fast to be looked at."""

    def frames(self) -> Frames: ...


class Analyzer(Protocol):
    """What finds the faces of a frame, such as a `FrameAnalyzer`."""

    def __call__(self, frame: Frame) -> FrameResult: ...

    def finish(self) -> list[FaceCrop]:
        """The shots that are still held back when the frames have ended."""


class Pipeline:
    """Call `run` until the frames end or it is cancelled, then `finish`."""

    def __init__(
        self,
        camera: str,
        analyze: Analyzer,
        vision: Workers,
        sender: ShotSender,
        delivery: Delivery,
        preview: Preview,
        health: Health,
        *,
        ahead: int,
    ) -> None:
        """
        camera: its name; ahead: frames of it that wait while one is searched.
        vision: threads that search frames, one frame of each camera at a time.
        health: the camera's own part of the service's.
        """
        self._camera = camera
        self._delivery = delivery
        self._preview = preview
        self._health = health
        self._vision = vision
        self._analyze = analyze
        self._ahead = ahead
        self.frames = 0  # that were searched
        self._throughput = Throughput()
        self._sender = sender

    async def run(self, camera: FrameSource, frames: Frames) -> None:
        """Process frames until a file ends, or for ever."""
        health = self._health
        searched = metrics.FRAMES.labels(self._camera)
        seconds = metrics.DETECT_SECONDS.labels(self._camera)
        async with contextlib.aclosing(read_ahead(frames, self._ahead)) as buffered:
            async for frame in buffered:
                health.beat("vision")
                result = await self._vision.run(self._analyze, frame)
                if self._preview.watched:
                    figures = self._throughput.figures()
                    marks = _create_marks(result)
                    await self._vision.run(self._preview.show, result.picture, marks, figures)
                health.rest("vision")
                self.frames += 1
                searched.inc()
                seconds.observe(sum(result.spent.values()))
                self._throughput.add(result.spent | self._sender.spent(), camera.skipped)
                await self._sender.send(result.shots)
                while not camera.live and not self._delivery.has_room():
                    await asyncio.sleep(0.05)

    async def finish(self) -> None:
        """Send the best shots of the faces that were still in view."""
        await self._sender.send(await self._vision.run(self._analyze.finish))
        await self._sender.wait_until_sent()


def _create_marks(result: FrameResult) -> list[Mark]:
    sent = {shot.track for shot in result.shots}
    return [
        Mark(
            track.box,
            track.number,
            track.score,
            track.quality,
            confirmed=track.confirmed,
            sent=track.name in sent,
            verdict=_explain_verdict(track, result.needed),
        )
        for track in result.tracks
    ]


def _explain_verdict(track: Track, needed: float) -> str:
    """A candidate's mean score, and the score that it needs to count as a face."""
    if not track.sights:
        return f"{track.engine}: not judged yet"
    return f"{track.engine}: {track.mean:.2g} of {needed:.2g}"


class ShotSender:
    """Encodes shots and hands them to the delivery while the next frame is searched."""

    def __init__(
        self,
        encode: Encoder,
        delivery: Delivery,
        preview: Preview,
        service: Service,
        show: Callable[[Face], None],
    ) -> None:
        self._delivery = delivery
        self._preview = preview
        self._show = show
        self._encode = encode
        self._worker = Workers("encoder")
        self._shots: asyncio.Queue[FaceCrop] = asyncio.Queue(SHOTS_AHEAD)
        self._encoding = 0.0  # seconds since the last call of `spent`
        service.spawn(self._keep_encoding(), "encoder")

    async def send(self, shots: list[FaceCrop]) -> None:
        """Queue shots; waits while too many are queued."""
        for shot in shots:
            await self._shots.put(shot)

    async def wait_until_sent(self) -> None:
        """Wait until all queued shots are with the delivery."""
        await self._shots.join()

    def spent(self) -> dict[str, float]:
        """Seconds of encoding since the last call."""
        seconds, self._encoding = self._encoding, 0.0
        return {"encode": seconds}

    async def _keep_encoding(self) -> None:
        while True:
            shot = await self._shots.get()
            began = time.perf_counter()
            face = await self._worker.run(self._encode, shot)
            self._encoding += time.perf_counter() - began
            if face is not None:
                self._delivery.offer(face)
                self._preview.show_face(face.png, face.facts)
                self._show(face)
            self._shots.task_done()
