"""The capture process: opens a camera with OpenCV and hands over a frame whenever asked.

It is a process of its own because a camera's read() can hang for ever, and a broken file can take
OpenCV down: a process can be killed and replaced, a thread cannot. It is asked by a byte on its
standard input, answers with a line of JSON, and leaves the frame's pixels in shared memory. A live
source is grabbed without pause, so what is handed over is always the newest frame.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detector.capture.source import Source, images, parse

Image = npt.NDArray[np.uint8]

OPEN_TIMEOUT = 30_000  # milliseconds, for a stream: some cameras answer DESCRIBE after 20 s
DAMAGED_IN_A_ROW = 100  # frames that are passed over; after the last one each read fails at once
USUAL_FPS = 25.0  # for a file that does not tell its own, or tells nonsense

# FFmpeg takes one per core, and each has frames of its own: 16 cost 92 MB more than 2 do at 1080p,
# and delay a live picture by 15 frames.
DECODE_THREADS = 2

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


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
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8)
    return np.ascontiguousarray(image[:, :, :3])


def _open(source: Source, options: dict[str, Any]) -> cv2.VideoCapture:
    threads = [cv2.CAP_PROP_N_THREADS, DECODE_THREADS]
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
        # Should a read hang, the parent gives up first, and says that the camera has stalled.
        patience = round((options["timeout"] + 5) * 1000)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT]
        timeouts += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience]
        capture = cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, threads + timeouts)
    else:
        capture = cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, threads)
    if not capture.isOpened():
        raise Gone("not_open", "it does not open")
    return capture


def _opened(asker: Asker, capture: cv2.VideoCapture, fps: float) -> None:
    frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # negative or nan where it is not known
    asker.tell("opened", fps=fps, frames=round(frames) if frames > 0 else 0)


def _fps(capture: cv2.VideoCapture, options: dict[str, Any]) -> float:
    if options["fps"]:
        return float(options["fps"])
    own = capture.get(cv2.CAP_PROP_FPS)
    return own if 0.1 <= own <= 240 else USUAL_FPS


def _grab(capture: cv2.VideoCapture) -> bool:
    """Go on to the next frame that can be decoded; False when there are no more."""
    return any(capture.grab() for _ in range(DAMAGED_IN_A_ROW))


def live(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A webcam or stream: grab every frame, decode and hand over the newest when asked."""
    capture = _open(source, options)
    _opened(asker, capture, _fps(capture, options))
    skipped = 0
    while _grab(capture):
        at, moment = time.time(), time.monotonic()
        if not asker.asked():
            skipped += 1
            continue
        ok, image = capture.retrieve()
        if ok and image is not None and image.size:
            asker.give(image, index=None, at=at, time=moment, skipped=skipped)
            skipped = 0
    raise Gone("lost", "it gives no more frames")


def once(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A video file: every frame, each when asked for."""
    capture = _open(source, options)
    fps = _fps(capture, options)
    _opened(asker, capture, fps)
    index = 0
    while _grab(capture):
        if index >= options["start"]:
            asker.asked(None)
            ok, image = capture.retrieve()
            if not ok or image is None:
                raise Gone("crashed", "OpenCV cannot convert a frame")
            asker.give(image, index=index, at=time.time(), time=index / fps, skipped=0)
        index += 1
    asker.asked(None)
    asker.tell("ended")


def paced(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A video file again and again, at its own rate, as if live: late askers miss frames."""
    skipped = 0
    due = time.monotonic()
    while True:
        capture = _open(source, options)
        fps = _fps(capture, options)
        _opened(asker, capture, fps)
        index = 0
        while _grab(capture):
            time.sleep(max(0.0, due - time.monotonic()))
            # One that cannot keep up plays as fast as it can, and does not hurry later.
            due = max(due + 1 / fps, time.monotonic())
            if asker.asked():
                ok, image = capture.retrieve()
                if ok and image is not None:
                    now = {"at": time.time(), "time": time.monotonic()}
                    asker.give(image, index=index, **now, skipped=skipped)
                    skipped = 0
            else:
                skipped += 1
            index += 1
        if index == 0:
            raise Gone("not_open", "it has no frames")


def stills(asker: Asker, source: Source, options: dict[str, Any]) -> None:
    """A folder of images in order of their names; again and again, at `fps`, if looped."""
    paths = images(Path(source.address))
    period = 1 / (options["fps"] or 1.0) if options["loop"] else 0.0
    # Their number is not told: an image that cannot be read is missed by name, not by count.
    asker.tell("opened", fps=1 / period if period else USUAL_FPS, frames=0)
    unreadable: set[Path] = set()
    while True:
        for index, path in enumerate(paths[options["start"] :], options["start"]):
            image = _read(path)
            if image is None:
                if path not in unreadable:
                    asker.tell("unreadable", path=str(path))
                unreadable.add(path)
                continue
            asker.asked(None)
            asker.give(image, index=index, at=time.time(), time=time.monotonic(), skipped=0)
            time.sleep(period)
        if not options["loop"] or unreadable.issuperset(paths):
            asker.asked(None)
            asker.tell("ended")
            return


def _read(path: Path) -> npt.NDArray[Any] | None:
    """The image, or None for what is none that OpenCV would decode (imread takes UTF-8 names)."""
    try:
        return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None


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


def _die_with(parent: int) -> None:
    """Have the kernel end us when the parent ends, also while we hang in a read: prctl(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)  # it ended before


def main() -> None:
    options = _options()
    _die_with(options["parent"])
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
    except cv2.error as error:
        asker.tell("gone", reason="crashed", text=f"OpenCV cannot decode it: {error.err}")
    except BrokenPipeError:
        os._exit(0)  # the parent is gone


if __name__ == "__main__":
    main()
