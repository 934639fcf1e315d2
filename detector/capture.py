"""The capture process: opens a camera with OpenCV and hands over a frame whenever asked.

It is a process of its own because a camera's read() can hang for ever, and a broken file can take
OpenCV down: a process can be killed and replaced, a thread cannot. It is asked by a byte on its
standard input, answers with a line of JSON, and leaves the frame's pixels in shared memory. A live
source is grabbed without pause, so what is handed over is always the newest frame.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detector.source import Source, images, parse

Image = npt.NDArray[np.uint8]

OPEN_TIMEOUT = 5000  # milliseconds, for a stream
LOST_AFTER = 3.0  # seconds of failing reads; one that fails now and then is a damaged frame


class Gone(Exception):
    """The source gives nothing (more). `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Asker:
    """The parent: waits for frames, and is told about them."""

    def __init__(self, memory: int) -> None:
        self._fd = memory
        self._size = 0
        self._map: mmap.mmap | None = None
        self._asked = False

    def asked(self, wait: float | None = 0.0) -> bool:
        """Whether a frame is wanted, within `wait` seconds (None: for ever)."""
        if not self._asked and select.select([0], [], [], wait)[0]:
            if os.read(0, 1) == b"":
                sys.exit(0)  # the parent is gone
            self._asked = True
        return self._asked

    def tell(self, kind: str, **facts: Any) -> None:
        sys.stdout.write(json.dumps({"kind": kind, **facts}) + "\n")
        sys.stdout.flush()

    def give(self, image: npt.NDArray[Any], **facts: Any) -> None:
        pixels = _bgr(image)
        if pixels.nbytes > self._size:
            self._size = pixels.nbytes
            os.ftruncate(self._fd, self._size)
            self._map = mmap.mmap(self._fd, self._size)
        assert self._map is not None  # noqa: S101 - an image is never empty
        np.frombuffer(self._map, np.uint8, pixels.nbytes)[:] = pixels.reshape(-1)
        self._asked = False
        height, width = pixels.shape[:2]
        self.tell("frame", width=width, height=height, **facts)


def _bgr(image: npt.NDArray[Any]) -> Image:
    """Three channels of 8 bits, whatever the camera gives."""
    if image.dtype != np.uint8:
        image = cv2.convertScaleAbs(image, alpha=255.0 / np.iinfo(image.dtype).max).astype(np.uint8)
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8)
    return np.ascontiguousarray(image[:, :, :3])


def _open(source: Source, options: dict[str, Any]) -> cv2.VideoCapture:
    if source.kind == "device":
        if not os.path.exists(source.address):
            raise Gone("absent", f"there is no {source.address}")
        capture = cv2.VideoCapture(source.address, cv2.CAP_V4L2)
        if options["size"]:
            # Before the size: else a camera on USB 2 stays with raw frames, at 5 a second.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, options["size"][0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options["size"][1])
        if options["fps"]:
            capture.set(cv2.CAP_PROP_FPS, options["fps"])
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    elif source.kind == "stream":
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(options["timeout"] * 1000)]
        capture = cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, timeouts)
    else:
        capture = cv2.VideoCapture(source.address, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise Gone("not_open", "it does not open")
    return capture


def _opened(asker: Asker, capture: cv2.VideoCapture) -> None:
    asker.tell(
        "opened",
        width=round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=capture.get(cv2.CAP_PROP_FPS),
        frames=round(capture.get(cv2.CAP_PROP_FRAME_COUNT)),
    )


def live(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A webcam or stream: grab every frame, decode and hand over the newest when asked."""
    capture = _open(source, options)
    _opened(asker, capture)
    skipped = 0
    good_at = time.monotonic()
    while True:
        if not capture.grab():
            if source.kind == "stream" or time.monotonic() - good_at > LOST_AFTER:
                raise Gone("lost", "it gives no more frames")
            asker.asked(0.05)
            continue
        at, monotonic = time.time(), time.monotonic()
        if not asker.asked():
            good_at = monotonic
            skipped += 1
            continue
        ok, image = capture.retrieve()
        if ok and image is not None and image.size:
            good_at = monotonic
            asker.give(image, index=None, at=at, skipped=skipped)
            skipped = 0


def once(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A video file: every frame, each when asked for."""
    capture = _open(source, options)
    _opened(asker, capture)
    index = 0
    while asker.asked(None):
        ok, image = capture.read()
        if not ok or image is None:
            asker.tell("ended", read=index)
            return
        asker.give(image, index=index, at=time.time(), skipped=0)
        index += 1


def paced(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A video file again and again, at its own rate, as if live: late askers miss frames."""
    skipped = 0
    while True:
        capture = _open(source, options)
        _opened(asker, capture)
        fps = options["fps"] or capture.get(cv2.CAP_PROP_FPS) or 25.0
        begun = time.monotonic()
        index = 0
        while capture.grab():
            while (wait := begun + index / fps - time.monotonic()) > 0:
                time.sleep(wait)
            if asker.asked():
                ok, image = capture.retrieve()
                if ok and image is not None:
                    asker.give(image, index=index, at=time.time(), skipped=skipped)
                    skipped = 0
            else:
                skipped += 1
            index += 1
        if index == 0:
            raise Gone("not_open", "it has no frames")


def stills(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A folder of images in order of their names; again and again, at `fps`, if looped."""
    paths = images(Path(source.address))
    asker.tell("opened", width=0, height=0, fps=options["fps"] or 0.0, frames=len(paths))
    while True:
        read = 0
        for index, path in enumerate(paths):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                asker.tell("unreadable", path=str(path))
                continue
            if options["loop"]:
                time.sleep(1 / (options["fps"] or 1.0))
            asker.asked(None)
            asker.give(image.astype(np.uint8), index=index, at=time.time(), skipped=0)
            read += 1
        if not options["loop"] or not read:
            asker.asked(None)
            asker.tell("ended", read=read)
            return


def _options() -> dict[str, Any]:
    """The first line of standard input, byte by byte: what follows it is for `asked`."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)
        line += byte
    options: dict[str, Any] = json.loads(line)
    return options


def main() -> None:
    options = _options()
    cv2.setNumThreads(1)
    source = parse(options["camera"])
    asker = Asker(options["memory"])
    play: Callable[[Asker, Source, dict[str, Any]], None]
    if source.kind == "images":
        play = stills
    elif source.live:
        play = live
    else:
        play = paced if options["loop"] else once
    try:
        play(asker, source, options)
    except Gone as gone:
        asker.tell("gone", reason=gone.reason, text=str(gone))
    except BrokenPipeError:
        os._exit(0)  # the parent is gone


if __name__ == "__main__":
    main()
