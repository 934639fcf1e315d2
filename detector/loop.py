"""The detector's loop: a frame, its faces, a shot of each, handed over for delivery."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

from common import clock, status
from common.face import Face, Ids
from common.link import Link
from common.service import FINISH_WITHIN, Service
from common.workers import Workers
from detector import metrics, shots
from detector.books import Books
from detector.camera import Camera, Frame
from detector.cascade import Detection, Haar, Image
from detector.delivery import Delivery, Once, drained
from detector.receipts import Receipts
from detector.settings import Settings
from detector.shelf import Shelf
from detector.window import Window

log = logging.getLogger(__name__)

ONCE_MAX = 64 * 1024 * 1024  # bytes of faces that may wait in memory with DELIVERY=once
Frames = AsyncGenerator[Frame, None]


class Look:
    """One frame in, encoded faces out. Runs in the one worker thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids = Ids()
        self._engine = Haar(
            settings.cascade,
            settings.scale_factor,
            settings.min_neighbors,
            settings.min_face,
            settings.detect_width,
        )

    def __call__(self, frame: Frame) -> list[Face]:
        image = shots.upright(frame.image, self._settings.rotate)
        shots.blacken(image, self._settings.mask)
        with metrics.DETECT_SECONDS.time():
            found = self._engine.detect(image)
        metrics.FRAMES.inc()
        faces = []
        for detection in found:
            try:
                with metrics.ENCODE_SECONDS.time():
                    faces.append(self._face(image, frame, detection))
            except shots.CannotEncode as error:
                log.error("a face is lost: %s", error)
                metrics.ENCODE_FAILURES.inc()
        return faces

    def _face(self, image: Image, frame: Frame, detection: Detection) -> Face:
        settings = self._settings
        shot = shots.take(image, detection.box, settings.margin, settings.face_max_kb * 1000)
        facts = {
            "id": self._ids.next(),
            "device": settings.device,
            "camera": settings.camera_name,
            "captured": clock.utc(frame.at),
            "clock": clock.state(frame.at),
            "frame": f"{image.shape[1]}x{image.shape[0]}",
            "face": ",".join(map(str, detection.box)),
            "box": ",".join(map(str, shot.box)),
            "engine": self._engine.name,
            "score": f"{detection.score:g}",
            "sharpness": f"{shots.sharpness(image, detection.box):.1f}",
        }
        if frame.index is not None:
            facts["frame_index"] = str(frame.index)
        if shot.scale != 1.0:
            facts["scale"] = f"{shot.scale:.4f}"
        return Face(shot.png, facts)


async def _delivery(settings: Settings, link: Link, books: Books, service: Service) -> Delivery:
    max_bytes = settings.outbox_max_mb * 1024 * 1024
    if settings.delivery == "once":
        return Once(link, settings.mqtt_topic, books, min(max_bytes, ONCE_MAX))
    shelf = Shelf(settings.outbox, books, max_bytes, settings.outbox_max_days, service)
    await shelf.open()
    receipts = Receipts(
        link,
        settings.mqtt_topic,
        settings.device,
        shelf,
        Window(settings.outbox_window),
        newest_first=settings.outbox_order == "newest",
    )
    service.spawn(shelf.keep(), "outbox")
    service.spawn(receipts.keep_sending(), "sender")
    return receipts


async def _watch(
    camera: Camera, frames: Frames, look: Look, delivery: Delivery, service: Service
) -> None:
    """Until a file ends, or for ever."""
    vision = Workers("vision")
    async with contextlib.aclosing(frames):
        async for frame in frames:
            service.health.beat("vision")
            for face in await vision.run(look, frame):
                delivery.offer(face)
            service.health.rest("vision")
            while not camera.live and not delivery.has_room():
                await asyncio.sleep(0.05)


async def _opened(camera: Camera, settings: Settings, service: Service) -> Frames:
    """The camera's frames; a file's first one has been read.

    Raises:
        SettingsError: it is no video.
    """
    frames = camera.frames()
    if settings.source.live:
        return frames
    first = asyncio.create_task(_next(frames))
    await service.until_stopped(first)
    await asyncio.wait([first])
    return _chained(None if first.cancelled() else first.result(), frames)


async def _next(frames: Frames) -> Frame | None:
    return await anext(frames, None)


async def _chained(first: Frame | None, rest: Frames) -> Frames:
    async with contextlib.aclosing(rest):
        if first is not None:
            yield first
        first = None  # frames are large
        async for frame in rest:
            yield frame


async def run(settings: Settings, service: Service) -> int:
    """Detect until the file ends or told to stop; then see the faces in hand off."""
    books = Books()
    name = f"detector-{settings.device}-{settings.camera_name}"
    link = Link(settings.broker("edge"), name, service.health, settings.mqtt_qos)
    delivery = await _delivery(settings, link, books, service)
    metrics.FACES.of = books
    camera = Camera(settings, service)
    frames = await _opened(camera, settings, service)

    def facts() -> dict[str, Any]:
        return {**books.facts(), **delivery.facts(), "camera_ended": camera.ended}

    topic = status.topic(settings.mqtt_topic, settings.device, "detector", settings.camera_name)
    own_status = status.Status(link, topic, service.health, facts)
    service.spawn(link.keep_up(), "broker")
    service.spawn(own_status.keep_publishing(), "status")
    watching = asyncio.ensure_future(_watch(camera, frames, Look(settings), delivery, service))
    await service.until_stopped(watching)
    await asyncio.wait([watching])
    if camera.ended:
        await service.until_stopped(drained(delivery))
        metrics.CAMERA_ENDED.set(1)
        log.info("the file's faces are seen off: %s", books)
        if settings.camera_end == "idle":
            await service.until_stopped()
    await delivery.finish(time.monotonic() + FINISH_WITHIN)
    own_status.clear()
    await link.leave()
    log.info("%s", books)
    return 0
