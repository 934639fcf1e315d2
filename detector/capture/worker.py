"""The capture process: opens a camera and hands over a frame whenever one is requested.

It is a process of its own because a camera's read can hang for ever, and a broken file can crash
the decoder. A process can be killed and replaced, a thread cannot.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from typing import Any

from detector.capture.handover import Handover
from detector.capture.producer import (
    FrameProducer,
    ProducerModule,
    ProducerOptions,
    SourceError,
    load,
)

PROBED = 2.0  # seconds; a webcam has found its exposure by then
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Playback:
    """Plays one source in one of three ways until it ends, or only looks at it."""

    def __init__(
        self, handover: Handover, module: ProducerModule, address: str, options: ProducerOptions
    ) -> None:
        self._handover = handover
        self._module = module
        self._address = address
        self._options = options

    def _open(self) -> FrameProducer:
        producer = self._module.create(self._address, self._options)
        self._handover.send("opened", fps=producer.fps, frames=producer.frames)
        return producer

    def play_live(self) -> None:
        """Grab every frame of a live source, and hand over the newest one on request."""
        with contextlib.closing(self._open()) as producer:
            skipped = 0
            while producer.grab() is not None:
                at, now = time.time(), time.monotonic()
                if not self._handover.wait_for_request():
                    skipped += 1
                    continue
                picture = producer.retrieve()
                if picture is not None:
                    facts = {"index": None, "at": at, "time": now, "skipped": skipped}
                    self._handover.send_frame(picture, **facts)
                    skipped = 0
        raise SourceError("lost", "it delivers no more frames")

    def play_once(self, start: int) -> None:
        """Hand over each frame from number `start` on, however long the detector takes."""
        with contextlib.closing(self._open()) as producer:
            while (index := producer.grab()) is not None:
                if index < start:
                    continue
                self._handover.wait_for_request(None)
                picture = producer.retrieve()
                if picture is None:
                    raise SourceError("crashed", "a frame cannot be converted")
                facts = {"at": time.time(), "time": producer.time, "skipped": 0}
                self._handover.send_frame(picture, index=index, **facts)
        self._handover.wait_for_request(None)
        self._handover.send("ended")

    def play_looped(self) -> None:
        """Play again and again at the source's own rate, as if live: late readers miss frames."""
        skipped = 0
        due = time.monotonic()
        while True:
            index = None
            with contextlib.closing(self._open()) as producer:
                position = -1 / producer.fps
                while (grabbed := producer.grab()) is not None:
                    index = grabbed
                    # If it cannot keep up it plays as fast as it can, and never catches up later.
                    due = max(due + producer.time - position, time.monotonic())
                    position = producer.time
                    time.sleep(max(0.0, due - time.monotonic()))
                    picture = producer.retrieve() if self._handover.wait_for_request() else None
                    if picture is None:
                        skipped += 1
                        continue
                    facts = {"at": time.time(), "time": time.monotonic(), "skipped": skipped}
                    self._handover.send_frame(picture, index=index, **facts)
                    skipped = 0
            if index is None:
                raise SourceError("not_open", "it has no frames")

    def probe(self, live: bool) -> None:
        """Look at the source for some seconds of its own clock; then report what it is."""
        started = time.monotonic()
        with contextlib.closing(self._open()) as producer:
            first = last = count = 0.0
            picture = None
            while last - first < PROBED and producer.grab() is not None:
                last = time.monotonic() if live else producer.time
                if not count:
                    first = last
                    self._handover.send("first", after=time.monotonic() - started)
                if not count or last - first >= PROBED:
                    picture, form = producer.retrieve(), producer.describe()
                count += 1
            if picture is None:
                raise SourceError("no_video", "it has no frame that can be read")
            rate = (count - 1) / (last - first) if last > first else None
            facts = {"index": None, "at": time.time(), "time": last}
            self._handover.send_frame(picture, **facts, form=form, rate=rate)


def _read_request() -> dict[str, Any]:
    """The first line of standard input, byte by byte: requests for frames follow it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    request: dict[str, Any] = json.loads(line)
    return request


def _die_with(parent: int) -> None:
    """Have the kernel kill us when the parent ends, even while we hang in a read: prctl(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)  # it ended before


def main() -> None:
    request = _read_request()
    _die_with(request["parent"])
    handover = Handover(request["memory"])
    options = ProducerOptions(**request["options"], on_unreadable=handover.report_unreadable)
    playback = Playback(handover, load(request["module"]), request["address"], options)
    try:
        if request["probe"]:
            playback.probe(request["live"])
        elif request["loop"]:
            playback.play_looped()
        elif request["live"]:
            playback.play_live()
        else:
            playback.play_once(request["start"])
    except SourceError as error:
        handover.send("failed", reason=error.reason, text=str(error))
    except BrokenPipeError:
        os._exit(0)  # the detector is gone


if __name__ == "__main__":
    main()
