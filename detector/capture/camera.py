"""A camera that comes back: frames from a capture process that can be killed and replaced."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import mmap
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

from common.runtime.backoff import Backoff
from common.runtime.logs import StateLogger
from common.service import Service
from common.settings import SettingsError
from detector import metrics
from detector.capture.source import shown
from detector.settings import DetectorSettings

log = logging.getLogger(__name__)

Image = npt.NDArray[np.uint8]

# What OpenCV and FFmpeg would print themselves: our own lines say it, once, without passwords.
_QUIET = {
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2",  # seconds that a webcam's read() may wait
}
OPEN_WITHIN = 40.0  # seconds, for Python, OpenCV and a stream's first bytes, on a slow machine
KILL_WITHIN = 1.0  # seconds; a process that hangs in a driver may outlive SIGKILL
FRAMES_AHEAD = 3  # frames of a camera that wait while one is searched; 6 MB each at 1080p
SETTLED = 3.0  # seconds of frames after which a trouble is over


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture. `image`: height x width x 3, uint8, BGR, the caller's own."""

    image: Image
    index: int | None  # in a file: its number, from 0
    at: float  # seconds since 1970
    time: float  # seconds on the source's own clock: a file's, or the machine's monotonic one


class CameraError(Exception):
    """No (more) frames. `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Camera:
    """Use: `async for frame in camera.frames()`."""

    def __init__(self, settings: DetectorSettings, service: Service) -> None:
        self._settings = settings
        self._service = service
        self._trouble = StateLogger(log, f"camera {shown(settings.camera)}")
        self._expected = 0
        self._frames = 0
        self._next = 0  # of a file: the number of the first frame not seen yet
        self._patience = settings.camera_timeout
        self.ended = False
        self.skipped = 0  # frames of a live camera, since newer ones had come

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, so that who is late misses some."""
        return self._settings.source.live or self._settings.camera_loop

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Frames until a file ends, or for ever: a live camera that fails is opened again.

        Raises:
            SettingsError: a file or folder gives no frame at all.
        """
        backoff = Backoff(first=1.0)
        if self._settings.source.live:
            self._service.health.check("camera", "opening")
        while not self._service.stopping.is_set():
            before = self._frames
            started = time.monotonic()
            try:
                async with self._process() as process:
                    async for frame in self._read(process):
                        self._frames += 1
                        yield frame
                self._say_end()
                return
            except CameraError as error:
                if not self._may_recover(error, self._frames > before):
                    self._file_failed(error)
                    return
                self._trouble.begin(error.reason, str(error))
                self._service.health.check("camera", error.reason)
                metrics.CAMERA_FAILURES.labels(error.reason).inc()
            backoff.record_uptime(time.monotonic() - started)
            await self._service.pause(backoff.next())

    def _may_recover(self, error: CameraError, progress: bool) -> bool:
        if self._settings.source.live:
            return True
        if self.live:  # a looped file, which may be away for a while, as a camera may
            return self._frames > 0
        # A file goes on where its process ended, unless it is the file that ends the process.
        return progress and error.reason in ("crashed", "stalled")

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[tuple[Process, int]]:
        memory = os.memfd_create("frame")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "detector.capture.worker",
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=[memory],
            env=_QUIET | _without_secrets(),
            start_new_session=True,  # Ctrl-C is for us alone
        )
        # By standard input: what stands on a command line, everyone on the machine can read.
        options = {
            "camera": self._settings.camera,
            "size": self._settings.camera_size,
            "fps": self._settings.camera_fps,
            "loop": self._settings.camera_loop,
            "timeout": self._settings.camera_timeout,
            "start": 0 if self.live else self._next,
            "memory": memory,
            "parent": os.getpid(),
        }
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(json.dumps(options).encode() + b"\n")
        try:
            yield process, memory
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            os.close(memory)
            try:
                async with asyncio.timeout(KILL_WITHIN):
                    await process.wait()
            except TimeoutError:
                log.error("the capture process %d does not end; is its driver stuck?", process.pid)

    async def _read(self, opened: tuple[Process, int]) -> AsyncIterator[Frame]:
        process, memory = opened
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(b"n")
        patience = OPEN_WITHIN
        first_at: float | None = None
        while True:
            told = await self._answer(process, patience)
            patience = self._patience
            if told["kind"] == "frame":
                now = time.monotonic()
                first_at = first_at or now
                self._say_frames(told, now - first_at)
                yield Frame(_pixels(memory, told), told["index"], told["at"], told["time"])
                process.stdin.write(b"n")
            elif told["kind"] == "opened":
                self._expected = told["frames"]
                self._patience = self._settings.camera_timeout + 1 / told["fps"]
            elif told["kind"] == "unreadable":
                log.warning("the image %s cannot be read (unreadable)", told["path"])
                metrics.UNREADABLE.inc()
            elif told["kind"] == "ended":
                return
            else:
                raise CameraError(told["reason"], told["text"])

    def _say_frames(self, told: dict[str, Any], lasted: float) -> None:
        self.skipped += told["skipped"]
        metrics.SKIPPED.inc(told["skipped"])
        if told["index"] is not None:
            self._next = told["index"] + 1
        # A camera that fails again and again after its first frame is in one trouble, not in many.
        troubled = self._trouble.reason is not None
        if self._frames == 0 or (troubled and lasted >= SETTLED):
            self._trouble.end(f"gives frames of {told['width']}x{told['height']}")
            self._service.health.check("camera", None)

    async def _answer(self, process: Process, patience: float) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            # Not wait_for: in Python 3.11 it forgets a cancellation that comes with a frame.
            async with asyncio.timeout(patience):
                line = await process.stdout.readline()
        except TimeoutError:
            raise CameraError("stalled", f"no frame for {patience:.0f} s") from None
        if not line.endswith(b"\n"):
            code = await process.wait()
            raise CameraError("crashed", f"the capture process ended with code {code}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _file_failed(self, error: CameraError) -> None:
        if self._frames == 0:
            path = shown(self._settings.camera)
            raise SettingsError(
                [f"CAMERA names a file that is no video or image that OpenCV can read: {path}"]
            )
        log.warning("the file broke after %d frames: %s (%s)", self._frames, error, error.reason)
        self.ended = True

    def _say_end(self) -> None:
        if self._frames == 0:
            self._file_failed(CameraError("empty", "it has no frames"))
        self._service.health.check("camera", None)
        # The number of frames is an estimate in many formats, a few per cent off.
        if self._frames < self._expected * 0.95 - 2:
            log.warning(
                "the file ended after %d of about %d frames: it is cut off or damaged (truncated)",
                self._frames,
                self._expected,
            )
        else:
            log.info("the file has ended after %d frames", self._frames)
        self.ended = True


def _pixels(memory: int, told: dict[str, Any]) -> Image:
    shape = (told["height"], told["width"], 3)
    size = shape[0] * shape[1] * 3
    with mmap.mmap(memory, size, prot=mmap.PROT_READ) as shared:
        return np.frombuffer(shared, np.uint8, size).reshape(shape).copy()


def _without_secrets() -> dict[str, str]:
    """Our environment for the capture process, less what it has no need to know."""
    needed = ("PATH", "PYTHONPATH", "HOME", "LANG", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")
    return {name: os.environ[name] for name in needed if name in os.environ}


async def ahead(frames: AsyncGenerator[Frame, None]) -> AsyncGenerator[Frame, None]:
    """The same frames, taken while the one before is searched.

    A frame that takes long to search makes those behind it late by a frame or two; only what
    comes while all places are taken is skipped.
    """
    ready: asyncio.Queue[Frame | None] = asyncio.Queue()
    room = asyncio.Semaphore(FRAMES_AHEAD)

    async def take() -> None:
        async with contextlib.aclosing(frames):
            async for frame in frames:
                ready.put_nowait(frame)
                del frame  # frames are large
                await room.acquire()

    taking = asyncio.create_task(take(), name="frames")
    taking.add_done_callback(lambda _: ready.put_nowait(None))
    try:
        while (frame := await ready.get()) is not None:
            room.release()
            yield frame
            del frame
        await taking
    finally:
        taking.cancel()
        await asyncio.wait([taking])
