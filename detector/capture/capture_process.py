"""The capture process from outside: it is started, asked for frames, and killed at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from detector.capture.camera_options import CameraOptions
from detector.capture.frame import Frame
from detector.capture.producer import PRODUCERS, SourceError
from detector.picture import Picture

log = logging.getLogger(__name__)

# Silences OpenCV: our own lines report failures, once and without passwords.
_QUIET = {
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2",  # seconds that a webcam's read() may wait
}
OPEN_WITHIN = 40.0  # seconds, for Python, OpenCV and a stream's first bytes, on a slow machine
KILL_WITHIN = 1.0  # seconds; a process that hangs in a driver may outlive SIGKILL


class CaptureProcess:
    """A running capture process. `memory` is the descriptor of the memory that it shares."""

    def __init__(self, process: Process, memory: int) -> None:
        self._process = process
        self._memory = memory

    def request(self) -> None:
        """Ask for a frame."""
        self._write(b"n")

    def send_order(self, order: dict[str, Any]) -> None:
        """Say what to open: by a pipe, since anyone can see a command line."""
        self._write(json.dumps(order).encode() + b"\n")

    async def answer(self, patience: float) -> dict[str, Any]:
        """Its next line.

        Raises:
            SourceError: what it reports; `stalled` without a line for `patience` seconds;
                `crashed` if it has ended.
        """
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes with a frame.
            async with asyncio.timeout(patience):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise SourceError("stalled", f"no frame for {patience:.0f} s") from None
        if not line.endswith(b"\n"):
            code = await self._process.wait()
            raise SourceError("crashed", f"the capture process exited with code {code}")
        answer: dict[str, Any] = json.loads(line)
        if answer["kind"] == "failed":
            raise SourceError(answer["reason"], answer["text"])
        return answer

    def read_frame(self, answer: dict[str, Any]) -> Frame:
        """The frame of an answer of kind `frame`, with a copy of its pixels."""
        size = answer["pixels"]["size"]
        with mmap.mmap(self._memory, size, prot=mmap.PROT_READ) as shared:
            pixels = np.frombuffer(shared, np.uint8, size).copy()
        picture = Picture.from_memory(pixels, answer["pixels"])
        return Frame(picture, answer["index"], answer["at"], answer["time"])

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and a command that it has started
        try:
            async with asyncio.timeout(KILL_WITHIN):
                await self._process.wait()
        except TimeoutError:
            pid = self._process.pid
            log.error("the capture process %d does not exit; is its driver stuck?", pid)

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(line)


@contextlib.asynccontextmanager
async def open_process(
    options: CameraOptions, *, start: int = 0, probe: bool = False
) -> AsyncIterator[CaptureProcess]:
    """A capture process that opens the camera; it is killed at the end.

    start: number of a file's first frame that is wanted.
    probe: look at the camera for a while and report what it is, rather than play it.
    """
    memory = os.memfd_create("frame")
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "detector.capture.worker",
            stdin=PIPE,
            stdout=PIPE,
            pass_fds=[memory],
            env=_QUIET | _environment(),
            start_new_session=True,  # Ctrl-C must reach the detector alone
        )
        opened = CaptureProcess(process, memory)
        opened.send_order(_order(options, memory) | {"start": start, "probe": probe})
        try:
            yield opened
        finally:
            await opened.kill()
    finally:
        os.close(memory)


def _order(options: CameraOptions, memory: int) -> dict[str, Any]:
    source = options.source
    return {
        "module": PRODUCERS[source.kind].module,
        "address": source.address,
        "live": source.live,
        "loop": options.loop and not source.live,
        "options": {
            "size": options.size,
            "fps": options.fps,
            "timeout": options.timeout,
            "username": options.username,
            "password": options.password,
        },
        "memory": memory,
        "parent": os.getpid(),
    }


def _environment() -> dict[str, str]:
    """Our environment for the capture process, without secrets."""
    needed = [
        *("PATH", "PYTHONPATH", "HOME", "LANG", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE"),
        "MALLOC_MMAP_THRESHOLD_",  # with it, what is freed goes back to the system at once
    ]
    return {name: os.environ[name] for name in needed if name in os.environ}
