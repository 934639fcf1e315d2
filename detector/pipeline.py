"""The frames of a camera, one after the other: looked at, shown, and what is worth it sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable

import cv2

from common.protocol.face import Face
from common.runtime import cpus
from common.runtime.workers import Workers
from common.service import Service
from detector import metrics
from detector.capture.camera import Camera, Frame, ahead
from detector.delivery.interface import Delivery
from detector.encoding.crop import FaceCrop
from detector.encoding.encoder import FaceEncoder
from detector.preview.parts import Mark
from detector.preview.view import Preview
from detector.settings import DetectorSettings
from detector.throughput import Throughput
from detector.tracking.analyzer import FrameAnalyzer, FrameResult
from detector.tracking.tracker import Track

SHOTS_AHEAD = 16  # shots that may wait for the encoder
Frames = AsyncGenerator[Frame, None]


class Pipeline:
    """Use: `frames` until they end or are cancelled, then `finish`."""

    def __init__(
        self,
        settings: DetectorSettings,
        delivery: Delivery,
        preview: Preview,
        service: Service,
        show: Callable[[Face], None],
    ) -> None:
        self._delivery = delivery
        self._preview = preview
        self._service = service
        cv2.setNumThreads(cpus.count_cpus())
        self._vision = Workers("vision")
        self._look = FrameAnalyzer(settings.analyzer_options)
        self._pace = Throughput()
        self._sending = _Sending(settings, delivery, preview, service, show)

    async def frames(self, camera: Camera, frames: Frames) -> None:
        """Until a file ends, or for ever."""
        health = self._service.health
        async with contextlib.aclosing(ahead(frames)) as coming:
            async for frame in coming:
                health.beat("vision")
                seen = await self._vision.run(self._look, frame)
                if self._preview.wanted:
                    figures = self._pace.figures()
                    await self._vision.run(self._preview.show, seen.image, _marks(seen), figures)
                health.rest("vision")
                metrics.FRAMES.inc()
                metrics.DETECT_SECONDS.observe(sum(seen.spent.values()))
                self._pace.add(seen.spent | self._sending.spent(), camera.skipped)
                await self._sending.send(seen.shots)
                while not camera.live and not self._delivery.has_room():
                    await asyncio.sleep(0.05)

    async def finish(self) -> None:
        """Send the best shots of the faces in view: nothing more is to come of them."""
        await self._sending.send(await self._vision.run(self._look.finish))
        await self._sending.done()


def _marks(seen: FrameResult) -> list[Mark]:
    sent = {shot.track for shot in seen.shots}
    return [
        Mark(
            track.box,
            track.number,
            track.score,
            track.quality,
            confirmed=track.confirmed,
            sent=track.name in sent,
            verdict=_verdict(track, seen.needed),
        )
        for track in seen.tracks
    ]


def _verdict(track: Track, needed: float) -> str:
    """The mean of a candidate's scores, and the one that makes it a face."""
    if not track.sights:
        return f"{track.engine}: not judged yet"
    return f"{track.engine}: {track.mean:.2g} of {needed:.2g}"


class _Sending:
    """Encodes shots and hands them over, beside the search in the next frame."""

    def __init__(
        self,
        settings: DetectorSettings,
        delivery: Delivery,
        preview: Preview,
        service: Service,
        show: Callable[[Face], None],
    ) -> None:
        self._delivery = delivery
        self._preview = preview
        self._show = show
        self._encode = FaceEncoder(
            settings.device, settings.camera_name, settings.face_max_kb * 1000
        )
        self._worker = Workers("encoder")
        self._shots: asyncio.Queue[FaceCrop] = asyncio.Queue(SHOTS_AHEAD)
        self._encoding = 0.0  # seconds since `spent` was asked for
        service.spawn(self._keep_encoding(), "encoder")

    async def send(self, shots: list[FaceCrop]) -> None:
        for shot in shots:
            await self._shots.put(shot)

    async def done(self) -> None:
        await self._shots.join()

    def spent(self) -> dict[str, float]:
        """Seconds of encoding since it was asked for last."""
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
                self._preview.sent(face.png, face.facts)
                self._show(face)
            self._shots.task_done()
