"""One camera of the detector: its frames, its pipeline, its outbox and its status."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from common.mqtt import Client, Presence
from common.protocol.topics import Topics
from common.runtime.health import Health
from common.runtime.workers import Workers
from common.service import Service
from detector import metrics
from detector.camera_settings import CameraSettings
from detector.capture.camera import FRAMES_AHEAD, FRAMES_AHEAD_OF_MANY
from detector.capture.frame import Frame
from detector.delivery.congestion import CongestionWindow
from detector.delivery.interface import Delivery, FireAndForget, wait_until_drained
from detector.delivery.reliable import ReliableDelivery
from detector.homeassistant import publisher
from detector.outbox.accounting import Accounts
from detector.outbox.queue import OutboxQueue
from detector.pipeline import Analyzer, Encoder, Frames, FrameSource, Pipeline, ShotSender
from detector.preview.view import Preview
from detector.settings import DetectorSettings

log = logging.getLogger(__name__)

ONCE_MAX = 64 * 1024 * 1024  # bytes of faces that may wait in memory with DELIVERY=once


@dataclasses.dataclass(frozen=True)
class Equipment:
    """What differs from camera to camera.

    create_analyzer: called once the first frame of a file has been read.
    """

    source: FrameSource
    create_analyzer: Callable[[], Analyzer]
    encode: Encoder


@dataclasses.dataclass(frozen=True)
class Shared:
    """What all cameras of a detector use.

    vision: the threads that search frames. Each camera has one frame there at a time, and they
        take the frames in the order of their arrival, so that all cameras get the same share.
    """

    settings: DetectorSettings
    service: Service
    client: Client
    vision: Workers


class Station:
    """`await prepare()`, run `run()` while the client is connected, then `await finish()`."""

    def __init__(
        self,
        shared: Shared,
        camera: CameraSettings,
        equipment: Equipment,
        preview: Preview,
        health: Health,
    ) -> None:
        """`health` is the camera's own part of the service's."""
        self.name = camera.camera_name
        self._shared = shared
        self._camera = camera
        self._equipment = equipment
        self._preview = preview
        self._health = health
        self._accounts = Accounts()
        self._pipeline: Pipeline
        self._delivery: Delivery
        self._frames: Frames
        metrics.start(self.name)

    async def prepare(self) -> None:
        """Open the outbox, and a file, as far as a person might have to mend them.

        Raises:
            SettingsError: the outbox cannot be used, or the file is not a video.
        """
        settings, service, client = self._shared.settings, self._shared.service, self._shared.client
        self._delivery = await self._create_delivery()
        metrics.FACES.of[self.name] = self._accounts
        self._home = publisher.create_publisher(
            settings.homeassistant_options(self.name), client, service
        )
        self._frames = await self._open_frames()
        self._pipeline = self._create_pipeline()
        topic = Topics(settings.mqtt_topic).status(settings.device, "detector", self.name)
        first = self.name == settings.cameras[0].camera_name
        self._status = Presence(client, topic, self._health, self._figures, will=first)

    async def _create_delivery(self) -> Delivery:
        settings, service, client = self._shared.settings, self._shared.service, self._shared.client
        max_bytes = settings.outbox_max_mb * 1024 * 1024
        if settings.delivery == "once":
            topic, most = settings.mqtt_topic, min(max_bytes, ONCE_MAX)
            return FireAndForget(client, topic, self._accounts, most)
        outbox = OutboxQueue(
            settings.outbox(self.name),
            self._accounts,
            max_bytes,
            settings.outbox_max_days,
            service,
            self._health,
        )
        await outbox.open()
        delivery = ReliableDelivery(
            client,
            settings.mqtt_topic,
            settings.device,
            outbox,
            CongestionWindow(settings.outbox_window),
            newest_first=settings.outbox_order == "newest",
            camera=self.name,
        )
        service.spawn(outbox.keep(), f"outbox {self.name}")
        service.spawn(delivery.keep_sending(), f"sender {self.name}")
        return delivery

    async def _open_frames(self) -> Frames:
        """The frames. For a file, waits for the first frame, so that a bad file ends here."""
        frames = self._equipment.source.frames()
        if self._camera.source.live:
            return frames
        first = asyncio.create_task(_next_frame(frames))
        await self._shared.service.until_stopped(first)
        await asyncio.wait([first])
        return _chain(None if first.cancelled() else first.result(), frames)

    def _create_pipeline(self) -> Pipeline:
        service, equipment = self._shared.service, self._equipment
        sender = ShotSender(
            equipment.encode, self._delivery, self._preview, service, self._home.show
        )
        return Pipeline(
            self.name,
            equipment.create_analyzer(),
            self._shared.vision,
            sender,
            self._delivery,
            self._preview,
            self._health,
            ahead=FRAMES_AHEAD_OF_MANY if len(self._shared.settings.cameras) > 1 else FRAMES_AHEAD,
        )

    def _figures(self) -> dict[str, Any]:
        return {
            "frames": self._pipeline.frames,
            "frames_skipped": self._equipment.source.skipped,
            **self._accounts.figures(),
            **self._delivery.figures(),
            **self._home.figures(),
            "camera_ended": self._equipment.source.ended,
        }

    async def run(self) -> None:
        """Detect until a file has ended and its faces are delivered, or the service is stopped."""
        service, source = self._shared.service, self._equipment.source
        service.spawn(self._status.keep_publishing(), f"status {self.name}")
        running = asyncio.ensure_future(self._pipeline.run(source, self._frames))
        await service.until_stopped(running)
        await asyncio.wait([running])
        await self._pipeline.finish()
        if source.ended:
            await service.until_stopped(wait_until_drained(self._delivery))
            metrics.CAMERA_ENDED.labels(self.name).set(1)
            self._log("end of file: every face is accounted for: %s")
            if self._camera.camera_end == "idle":
                await service.until_stopped()

    async def finish(self, until: float) -> None:
        """Deliver what is possible until `until` (of time.monotonic()); account for the rest."""
        await self._delivery.finish(until)
        self._home.leave()
        self._status.clear()
        self._log("%s")

    def _log(self, text: str) -> None:
        who = f"{self.name}: " if self._camera.table else ""
        log.info(f"%s{text}", who, self._accounts)


async def _next_frame(frames: Frames) -> Frame | None:
    return await anext(frames, None)


async def _chain(first: Frame | None, rest: Frames) -> Frames:
    async with contextlib.aclosing(rest):
        if first is not None:
            yield first
        first = None  # frames are large
        async for frame in rest:
            yield frame
