"""The detector's loop: a frame, its faces, a shot of each, handed over for delivery."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from common.metrics import total
from common.mqtt import Client, Presence
from common.protocol.topics import Topics
from common.service import FINISH_WITHIN, Service
from detector import metrics
from detector.capture.camera import Camera, Frame
from detector.delivery.congestion import CongestionWindow
from detector.delivery.interface import Delivery, FireAndForget, wait_until_drained
from detector.delivery.reliable import ReliableDelivery
from detector.homeassistant import publisher
from detector.outbox.accounting import Accounts
from detector.outbox.queue import OutboxQueue
from detector.pipeline import Frames, Pipeline
from detector.preview.pages import serve
from detector.settings import DetectorSettings

log = logging.getLogger(__name__)

ONCE_MAX = 64 * 1024 * 1024  # bytes of faces that may wait in memory with DELIVERY=once


async def _create_delivery(
    settings: DetectorSettings, link: Client, books: Accounts, service: Service
) -> Delivery:
    max_bytes = settings.outbox_max_mb * 1024 * 1024
    if settings.delivery == "once":
        return FireAndForget(link, settings.mqtt_topic, books, min(max_bytes, ONCE_MAX))
    shelf = OutboxQueue(settings.outbox, books, max_bytes, settings.outbox_max_days, service)
    await shelf.open()
    receipts = ReliableDelivery(
        link,
        settings.mqtt_topic,
        settings.device,
        shelf,
        CongestionWindow(settings.outbox_window),
        newest_first=settings.outbox_order == "newest",
    )
    service.spawn(shelf.keep(), "outbox")
    service.spawn(receipts.keep_sending(), "sender")
    return receipts


async def _open_frames(camera: Camera, settings: DetectorSettings, service: Service) -> Frames:
    """The camera's frames; a file's first one has been read.

    Raises:
        SettingsError: it is no video.
    """
    frames = camera.frames()
    if settings.source.live:
        return frames
    first = asyncio.create_task(_next_frame(frames))
    await service.until_stopped(first)
    await asyncio.wait([first])
    return _chain(None if first.cancelled() else first.result(), frames)


async def _next_frame(frames: Frames) -> Frame | None:
    return await anext(frames, None)


async def _chain(first: Frame | None, rest: Frames) -> Frames:
    async with contextlib.aclosing(rest):
        if first is not None:
            yield first
        first = None  # frames are large
        async for frame in rest:
            yield frame


async def run(settings: DetectorSettings, service: Service) -> int:
    """Detect until the file ends or told to stop; then see the faces in hand off."""
    books = Accounts()
    preview = serve(settings, service)
    name = f"detector-{settings.device}-{settings.camera_name}"
    link = Client(settings.broker("edge"), name, service.health, settings.mqtt_qos)
    delivery = await _create_delivery(settings, link, books, service)
    home = publisher.create_publisher(settings, link, service)
    metrics.FACES.of = books
    camera = Camera(settings, service)
    frames = await _open_frames(camera, settings, service)

    def facts() -> dict[str, Any]:
        return {
            "frames": total(metrics.FRAMES),
            "frames_skipped": camera.skipped,
            **books.facts(),
            **delivery.facts(),
            **home.facts(),
            "camera_ended": camera.ended,
        }

    topic = Topics(settings.mqtt_topic).status(settings.device, "detector", settings.camera_name)
    own_status = Presence(link, topic, service.health, facts)
    service.spawn(link.keep_up(), "broker")
    service.spawn(own_status.keep_publishing(), "status")
    watch = Pipeline(settings, delivery, preview, service, home.show)
    watching = asyncio.ensure_future(watch.frames(camera, frames))
    await service.until_stopped(watching)
    await asyncio.wait([watching])
    await watch.finish()
    if camera.ended:
        await service.until_stopped(wait_until_drained(delivery))
        metrics.CAMERA_ENDED.set(1)
        log.info("the file's faces are seen off: %s", books)
        if settings.camera_end == "idle":
            await service.until_stopped()
    await delivery.finish(time.monotonic() + FINISH_WITHIN)
    home.leave()
    own_status.clear()
    await link.leave()
    log.info("%s", books)
    return 0
