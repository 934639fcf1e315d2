"""Webcams (V4L2), read by OpenCV's VideoCapture."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detector.capture.producer import USUAL_FPS, ProducerOptions, SourceError
from detector.planes import Image, Planes

DAMAGED_IN_A_ROW = 100  # frames that are skipped; of a webcam that is gone each read fails at once


class OpenCvProducer:
    """A `FrameProducer` over an open VideoCapture; `fps` overrides the source's own rate."""

    def __init__(self, capture: cv2.VideoCapture, fps: float | None) -> None:
        self._capture = capture
        self._index = -1
        own = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps or (own if 0.1 <= own <= 240 else USUAL_FPS)
        self.frames = 0

    @property
    def time(self) -> float:
        return self._index / self.fps

    def grab(self) -> int | None:
        """Advance to the next frame that can be decoded."""
        if not any(self._capture.grab() for _ in range(DAMAGED_IN_A_ROW)):
            return None
        self._index += 1
        return self._index

    def retrieve(self) -> Planes | None:
        try:
            ok, image = self._capture.retrieve()
        except cv2.error as error:
            raise SourceError("crashed", f"OpenCV cannot decode it: {error.err}") from None
        found = ok and image is not None and image.size > 0
        return Planes.from_bgr(to_bgr(image)) if found else None

    def describe(self) -> dict[str, str]:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return {
            "driver": self._capture.getBackendName(),
            "codec": code.to_bytes(4, "little").decode("ascii", "replace").strip(),
            "rate stated": f"{self._capture.get(cv2.CAP_PROP_FPS):g} a second",
        }

    def close(self) -> None:
        self._capture.release()


def create(address: str, options: ProducerOptions) -> OpenCvProducer:
    """Open a device.

    Raises:
        SourceError: `absent` (there is no such device) or `not_open`.
    """
    if not os.path.exists(address):
        raise SourceError("absent", f"there is no {address}")
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(address, cv2.CAP_V4L2)
    if options.size:
        # Before the size: otherwise a camera on USB 2 stays with raw frames, at 5 a second.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size[1])
    if options.fps:
        capture.set(cv2.CAP_PROP_FPS, options.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        raise SourceError("not_open", "it cannot be opened")
    return OpenCvProducer(capture, options.fps)


def to_bgr(image: npt.NDArray[Any]) -> Image:
    """Three channels of 8 bits, whatever the camera gives."""
    if image.dtype != np.uint8:
        image = cv2.convertScaleAbs(image, alpha=255.0 / np.iinfo(image.dtype).max).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).astype(np.uint8)
    return np.ascontiguousarray(image[:, :, :3])
