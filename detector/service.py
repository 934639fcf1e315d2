"""The detector: wires camera, pipeline, delivery and status together, and runs until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from common.metrics import total
from common.mqtt import Client, Presence
from common.protocol.topics import Topics
from common.service import FINISH_WITHIN, Service
from detector import metrics
from detector.capture.camera import Camera
from detector.capture.frame import Frame
from detector.delivery.congestion import CongestionWindow
from detector.delivery.interface import Delivery, FireAndForget, wait_until_drained
from detector.delivery.reliable import ReliableDelivery
from detector.encoding.encoder import FaceEncoder
from detector.homeassistant import publisher
from detector.outbox.accounting import Accounts
from detector.outbox.queue import OutboxQueue
from detector.pipeline import Analyzer, Encoder, Frames, FrameSource, Pipeline
from detector.preview.pages import serve
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameAnalyzer

log = logging.getLogger(__name__)

ONCE_MAX = 64 * 1024 * 1024  # bytes of faces that may wait in memory with DELIVERY=once


async def _create_delivery(
    settings: DetectorSettings, client: Client, accounts: Accounts, service: Service
) -> Delivery:
    max_bytes = settings.outbox_max_mb * 1024 * 1024
    if settings.delivery == "once":
        return FireAndForget(client, settings.mqtt_topic, accounts, min(max_bytes, ONCE_MAX))
    path = settings.outbox(settings.camera_name)
    outbox = OutboxQueue(path, accounts, max_bytes, settings.outbox_max_days, service)
    await outbox.open()
    delivery = ReliableDelivery(
        client,
        settings.mqtt_topic,
        settings.device,
        outbox,
        CongestionWindow(settings.outbox_window),
        newest_first=settings.outbox_order == "newest",
    )
    service.spawn(outbox.keep(), "outbox")
    service.spawn(delivery.keep_sending(), "sender")
    return delivery


async def _open_frames(camera: FrameSource, settings: DetectorSettings, service: Service) -> Frames:
    """The camera's frames. For a file, waits for the first frame, so that a bad file ends here.

    Raises:
        SettingsError: it is not a video.
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
    """Detect with the camera and the engine of the settings; return the exit code."""
    camera = Camera(settings.camera_options, service)
    encode = FaceEncoder(settings.device, settings.camera_name, settings.face_max_kb * 1000)
    return await detect(
        settings, service, camera, lambda: FrameAnalyzer(settings.analyzer_options), encode
    )


async def detect(
    settings: DetectorSettings,
    service: Service,
    camera: FrameSource,
    create_analyzer: Callable[[], Analyzer],
    encode: Encoder,
) -> int:
    """Detect until the file ends or the service is stopped, then deliver what is captured.

    create_analyzer: called once the first frame of a file has been read.
    """
    accounts = Accounts()
    preview = serve(settings.preview_options, service)
    name = f"detector-{settings.device}-{settings.camera_name}"
    client = Client(settings.broker("edge"), name, service.health, settings.mqtt_qos)
    delivery = await _create_delivery(settings, client, accounts, service)
    shown = settings.homeassistant_options(settings.camera_name)
    home = publisher.create_publisher(shown, client, service)
    metrics.FACES.of = accounts
    frames = await _open_frames(camera, settings, service)

    def figures() -> dict[str, Any]:
        return {
            "frames": total(metrics.FRAMES),
            "frames_skipped": camera.skipped,
            **accounts.figures(),
            **delivery.figures(),
            **home.figures(),
            "camera_ended": camera.ended,
        }

    topic = Topics(settings.mqtt_topic).status(settings.device, "detector", settings.camera_name)
    own_status = Presence(client, topic, service.health, figures)
    service.spawn(client.keep_up(), "broker")
    service.spawn(own_status.keep_publishing(), "status")
    pipeline = Pipeline(create_analyzer(), encode, delivery, preview, service, home.show)
    running = asyncio.ensure_future(pipeline.run(camera, frames))
    await service.until_stopped(running)
    await asyncio.wait([running])
    await pipeline.finish()
    if camera.ended:
        await service.until_stopped(wait_until_drained(delivery))
        metrics.CAMERA_ENDED.set(1)
        log.info("end of file: every face is accounted for: %s", accounts)
        if settings.camera_end == "idle":
            await service.until_stopped()
    await delivery.finish(time.monotonic() + FINISH_WITHIN)
    home.leave()
    own_status.clear()
    await client.leave()
    log.info("%s", accounts)
    return 0
