"""The detector's loop: a frame, its faces, a shot of each, handed over for delivery."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

from common import status
from common.link import Link
from common.service import FINISH_WITHIN, Service
from common.workers import Workers
from detector import metrics
from detector.books import Books
from detector.camera import Camera, Frame, ahead
from detector.delivery import Delivery, Once, drained
from detector.encode import Encode
from detector.look import Look
from detector.receipts import Receipts
from detector.settings import Settings
from detector.shelf import Shelf
from detector.shots import Shot
from detector.window import Window

log = logging.getLogger(__name__)

ONCE_MAX = 64 * 1024 * 1024  # bytes of faces that may wait in memory with DELIVERY=once
SHOTS_AHEAD = 16  # shots that may wait for the encoder
Frames = AsyncGenerator[Frame, None]


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
    camera: Camera, frames: Frames, settings: Settings, delivery: Delivery, service: Service
) -> None:
    """Until a file ends, or for ever."""
    vision, look = Workers("vision"), Look(settings)
    sending = _Sending(settings, delivery, service)
    async with contextlib.aclosing(ahead(frames)) as coming:
        async for frame in coming:
            service.health.beat("vision")
            seen = await vision.run(look, frame)
            service.health.rest("vision")
            metrics.FRAMES.inc()
            metrics.DETECT_SECONDS.observe(sum(seen.spent.values()))
            await sending.send(seen.shots)
            while not camera.live and not delivery.has_room():
                await asyncio.sleep(0.05)
    await sending.send(look.finish())
    await sending.done()


class _Sending:
    """Encodes shots and hands them over, beside the search in the next frame."""

    def __init__(self, settings: Settings, delivery: Delivery, service: Service) -> None:
        self._delivery = delivery
        self._encode = Encode(settings)
        self._worker = Workers("encoder")
        self._shots: asyncio.Queue[Shot] = asyncio.Queue(SHOTS_AHEAD)
        service.spawn(self._keep_encoding(), "encoder")

    async def send(self, shots: list[Shot]) -> None:
        for shot in shots:
            await self._shots.put(shot)

    async def done(self) -> None:
        await self._shots.join()

    async def _keep_encoding(self) -> None:
        while True:
            face = await self._worker.run(self._encode, await self._shots.get())
            if face is not None:
                self._delivery.offer(face)
            self._shots.task_done()


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
    watching = asyncio.ensure_future(_watch(camera, frames, settings, delivery, service))
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
