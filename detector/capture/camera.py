"""A camera that recovers: frames from a capture process that can be killed and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from common.runtime.backoff import Backoff
from common.runtime.health import Health
from common.runtime.logs import StateLogger
from common.service import Service
from common.settings import SettingsError
from detector import metrics
from detector.capture.camera_options import CameraOptions
from detector.capture.capture_process import OPEN_WITHIN, CaptureProcess, open_process
from detector.capture.frame import Frame
from detector.capture.producer import SourceError

log = logging.getLogger(__name__)

# Frames of a camera that wait behind the next one; 3 MB each at 1080p. Several cameras wait for
# each other anyway, and what waits should be new.
FRAMES_AHEAD, FRAMES_AHEAD_OF_MANY = 3, 0
STABLE = 3.0  # seconds of frames after which a failure counts as over


class Camera:
    """The frames of one camera: `async for frame in camera.frames()`.

    `ended` is True once a file has been read to its end. `skipped` counts the frames of a live
    camera that were not handed over because newer ones had arrived.
    """

    def __init__(
        self, options: CameraOptions, service: Service, health: Health | None = None
    ) -> None:
        """`health` is the camera's own part of the service's."""
        self._options = options
        self._health = health or service.health
        self._service = service
        self._state = StateLogger(log, f"camera {options.shown}")
        self._expected = 0  # frames of a file, an estimate; 0 if unknown
        self._frames = 0
        self._next = 0  # number of a file's first frame that was not handed over yet
        self._patience = options.timeout
        self.ended = False
        self.skipped = 0

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, so that a late reader misses some."""
        return self._options.live

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Frames until a file ends, or for ever: a live camera that fails is opened again.

        Raises:
            SettingsError: a file or folder gives no frame at all.
        """
        backoff = Backoff(first=1.0)
        if self._options.source.live:
            self._health.check("camera", "opening")
        while not self._service.stopping.is_set():
            before = self._frames
            started = time.monotonic()
            try:
                async with open_process(self._options, start=self._next) as process:
                    async for frame in self._read(process):
                        self._frames += 1
                        yield frame
                self._on_file_end()
                return
            except SourceError as error:
                if not self._may_recover(error, self._frames > before):
                    self._on_file_failed(error)
                    return
                self._state.begin(error.reason, str(error))
                self._health.check("camera", error.reason)
                metrics.CAMERA_FAILURES.labels(self._options.name, error.reason).inc()
            backoff.record_uptime(time.monotonic() - started)
            await self._service.pause(backoff.next())

    def _may_recover(self, error: SourceError, progress: bool) -> bool:
        if self._options.source.live:
            return True
        if self.live:  # a looped file may be away for a while, as a camera may
            return self._frames > 0
        # A file goes on where its process died, unless the file itself kills the process.
        return progress and error.reason in ("crashed", "stalled")

    async def _read(self, process: CaptureProcess) -> AsyncIterator[Frame]:
        process.request()
        patience = OPEN_WITHIN
        first_at: float | None = None
        while True:
            answer = await process.answer(patience)
            patience = self._patience
            if answer["kind"] == "frame":
                now = time.monotonic()
                first_at = first_at or now
                self._on_frame(answer, now - first_at)
                yield process.read_frame(answer)
                process.request()
            elif answer["kind"] == "opened":
                self._expected = answer["frames"]
                self._patience = self._options.timeout + 1 / answer["fps"]
            elif answer["kind"] == "unreadable":
                log.warning("the image %s cannot be read (unreadable)", answer["path"])
                metrics.UNREADABLE.labels(self._options.name).inc()
            else:  # ended
                return

    def _on_frame(self, answer: dict[str, Any], lasted: float) -> None:
        self.skipped += answer["skipped"]
        metrics.SKIPPED.labels(self._options.name).inc(answer["skipped"])
        if answer["index"] is not None and not self.live:
            self._next = answer["index"] + 1
        # A camera that fails again and again after its first frame has one problem, not many.
        failing = self._state.reason is not None
        if self._frames == 0 or (failing and lasted >= STABLE):
            self._state.end(f"delivers frames of {answer['width']}x{answer['height']}")
            self._health.check("camera", None)

    def _on_file_failed(self, error: SourceError) -> None:
        if self._frames == 0:
            fault = "is not a video or image that can be read"
            raise SettingsError([f"{self._options.setting} {fault}: {self._options.shown}"])
        log.warning(
            "reading the file failed after %d frames: %s (%s)", self._frames, error, error.reason
        )
        self.ended = True

    def _on_file_end(self) -> None:
        if self._frames == 0:
            self._on_file_failed(SourceError("empty", "it has no frames"))
        self._health.check("camera", None)
        # In many formats the number of frames is an estimate, a few per cent off.
        if self._frames < self._expected * 0.95 - 2:
            log.warning(
                "the file ended after %d of about %d frames: it is cut off or damaged (truncated)",
                self._frames,
                self._expected,
            )
        else:
            log.info("the file ended after %d frames", self._frames)
        self.ended = True


async def read_ahead(
    frames: AsyncGenerator[Frame, None], ahead: int = FRAMES_AHEAD
) -> AsyncGenerator[Frame, None]:
    """The same frames, read while the one before is searched.

    A frame that takes long to search delays those behind it by a frame or two. Only frames that
    arrive while all places are taken are skipped.
    """
    ready: asyncio.Queue[Frame | None] = asyncio.Queue()
    room = asyncio.Semaphore(ahead)

    async def fill() -> None:
        async with contextlib.aclosing(frames):
            async for frame in frames:
                ready.put_nowait(frame)
                del frame  # frames are large
                await room.acquire()

    filling = asyncio.create_task(fill(), name="frames")
    filling.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while (frame := await ready.get()) is not None:
            room.release()
            yield frame
            del frame
        await filling
    finally:
        filling.cancel()
        await asyncio.wait([filling])
