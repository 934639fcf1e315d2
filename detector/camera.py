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
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

from common.backoff import Backoff
from common.logs import Trouble
from common.service import Service
from common.settings import SettingsError, starred
from detector import metrics
from detector.settings import Settings

log = logging.getLogger(__name__)

Image = npt.NDArray[np.uint8]

# What OpenCV and FFmpeg would print themselves: our own lines say it, once, without passwords.
_QUIET = {
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2",  # seconds that a webcam's read() may wait
}


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture. `image`: height x width x 3, uint8, BGR, the caller's own."""

    image: Image
    index: int | None  # in a file: its number, from 0
    at: float  # seconds since 1970


class CameraError(Exception):
    """No (more) frames. `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Camera:
    """Use: `async for frame in camera.frames()`."""

    def __init__(self, settings: Settings, service: Service) -> None:
        self._settings = settings
        self._service = service
        self._trouble = Trouble(log, f"camera {starred(settings.camera)}")
        self._expected = 0
        self._frames = 0
        self.ended = False

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, so that who is late misses some."""
        return self._settings.source.live or self._settings.camera_loop

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames until a file ends, or for ever: a live camera that fails is opened again.

        Raises:
            SettingsError: a file or folder gives no frame at all.
        """
        backoff = Backoff(first=1.0)
        while not self._service.stopping.is_set():
            self._frames = 0
            started = time.monotonic()
            try:
                async with self._process() as process:
                    async for frame in self._read(process):
                        self._frames += 1
                        yield frame
                self._say_end()
                return
            except CameraError as error:
                if not self._settings.source.live:
                    self._file_failed(error)
                    return
                self._trouble.begin(error.reason, str(error))
                self._service.health.check("camera", error.reason)
                metrics.CAMERA_FAILURES.labels(error.reason).inc()
            backoff.lasted(time.monotonic() - started)
            await self._service.pause(backoff.next())

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[tuple[Process, int]]:
        memory = os.memfd_create("frame")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "detector.capture",
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=[memory],
            env=_QUIET | _without_secrets(),
        )
        # By standard input: what stands on a command line, everyone on the machine can read.
        options = {
            "camera": self._settings.camera,
            "size": self._settings.camera_size,
            "fps": self._settings.camera_fps,
            "loop": self._settings.camera_loop,
            "timeout": self._settings.camera_timeout,
            "memory": memory,
        }
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write(json.dumps(options).encode() + b"\n")
        try:
            yield process, memory
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            os.close(memory)

    async def _read(self, opened: tuple[Process, int]) -> AsyncIterator[Frame]:
        process, memory = opened
        assert process.stdin is not None  # noqa: S101 - it was asked for
        asked = False
        while True:
            if not asked:
                process.stdin.write(b"n")
                asked = True
            told = await self._answer(process)
            if told["kind"] == "frame":
                asked = False
                metrics.SKIPPED.inc(told["skipped"])
                if self._frames == 0:
                    self._trouble.end(f"gives frames of {told['width']}x{told['height']}")
                    self._service.health.check("camera", None)
                yield Frame(_pixels(memory, told), told["index"], told["at"])
            elif told["kind"] == "opened":
                self._expected = told["frames"]
            elif told["kind"] == "unreadable":
                log.warning("the image %s cannot be read (unreadable)", told["path"])
                metrics.UNREADABLE.inc()
            elif told["kind"] == "ended":
                return
            else:
                raise CameraError(told["reason"], told["text"])

    async def _answer(self, process: Process) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            line = await asyncio.wait_for(process.stdout.readline(), self._settings.camera_timeout)
        except TimeoutError:
            text = f"no frame for {self._settings.camera_timeout:g} s"
            raise CameraError("stalled", text) from None
        if not line:
            code = await process.wait()
            raise CameraError("crashed", f"the capture process ended with code {code}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _file_failed(self, error: CameraError) -> None:
        if self._frames == 0:
            shown = self._settings.camera
            raise SettingsError(
                [f"CAMERA names a file that is no video or image that OpenCV can read: {shown}"]
            )
        log.warning("the file broke after %d frames: %s (%s)", self._frames, error, error.reason)
        self.ended = True

    def _say_end(self) -> None:
        if self._frames == 0:
            self._file_failed(CameraError("empty", "it has no frames"))
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
