"""Webcams (V4L2), streams and video files (FFmpeg), read by OpenCV's VideoCapture."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy.typing as npt

from detector.capture.producer import USUAL_FPS, ProducerOptions, SourceError

OPEN_TIMEOUT = 30_000  # milliseconds, for a stream: some cameras answer DESCRIBE after 20 s
DAMAGED_IN_A_ROW = 100  # frames that are skipped; after the last frame each read fails at once

# FFmpeg takes one thread per core, and each holds frames: 16 threads take 92 MB more than 2 at
# 1080p, and delay a live picture by 15 frames.
DECODE_THREADS = 2


class OpenCvProducer:
    """A `FrameProducer` over an open VideoCapture; `fps` overrides the source's own rate."""

    def __init__(self, capture: cv2.VideoCapture, fps: float | None) -> None:
        self._capture = capture
        self._index = -1
        own = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps or (own if 0.1 <= own <= 240 else USUAL_FPS)
        frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # negative or NaN if unknown
        self.frames = round(frames) if frames > 0 else 0

    def grab(self) -> int | None:
        """Advance to the next frame that can be decoded."""
        if not any(self._capture.grab() for _ in range(DAMAGED_IN_A_ROW)):
            return None
        self._index += 1
        return self._index

    def retrieve(self) -> npt.NDArray[Any] | None:
        ok, image = self._capture.retrieve()
        return image if ok and image is not None and image.size else None

    def close(self) -> None:
        self._capture.release()


def create(address: str, options: ProducerOptions) -> OpenCvProducer:
    """Open a device, a URL or a file.

    Raises:
        SourceError: `absent` (there is no such device) or `not_open`.
    """
    if address.startswith("/dev/"):
        capture = _open_webcam(address, options)
    else:
        capture = _open_with_ffmpeg(address, options)
    if not capture.isOpened():
        raise SourceError("not_open", "it does not open")
    return OpenCvProducer(capture, options.fps)


def _open_webcam(address: str, options: ProducerOptions) -> cv2.VideoCapture:
    if not os.path.exists(address):
        raise SourceError("absent", f"there is no {address}")
    capture = cv2.VideoCapture(address, cv2.CAP_V4L2)
    if options.size:
        # Before the size: otherwise a camera on USB 2 stays with raw frames, at 5 a second.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
    if options.fps:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _open_with_ffmpeg(address: str, options: ProducerOptions) -> cv2.VideoCapture:
    parameters = [cv2.CAP_PROP_N_THREADS, DECODE_THREADS]
    if "://" in address:
        # If a read hangs, the parent gives up first, and reports that the camera has stalled.
        read_timeout = round((options.timeout + 5) * 1000)
        parameters += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT]
        parameters += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, read_timeout]
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, parameters)
