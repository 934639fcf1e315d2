"""A folder of still images, or a single one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detector.capture.producer import ProducerOptions
from detector.capture.source import list_images
from detector.planes import Image, Planes

FPS = 1.0  # images a second when a folder is played in a loop


class ImageFolder:
    """A `FrameProducer` over images in order of their names; unreadable ones are reported."""

    def __init__(self, paths: list[Path], options: ProducerOptions) -> None:
        self._paths = paths
        self._report = options.on_unreadable
        self._index = -1
        self._image: Image | None = None
        self.fps = options.fps or FPS
        self.frames = 0  # unknown: unreadable images are reported by name, not by their number

    def grab(self) -> int | None:
        """Read the next image that can be decoded; its index counts the others, too."""
        self._image = None
        while self._image is None:
            self._index += 1
            if self._index >= len(self._paths):
                return None
            path = self._paths[self._index]
            self._image = _read(path)
            if self._image is None:
                self._report(str(path))
        return self._index

    @property
    def time(self) -> float:
        return self._index / self.fps

    def retrieve(self) -> Planes | None:
        return None if self._image is None else Planes.from_bgr(self._image)

    def describe(self) -> dict[str, str]:
        return {"pictures": str(len(self._paths))}

    def close(self) -> None:
        self._image = None


def create(address: str, options: ProducerOptions) -> ImageFolder:
    """The images at `address`, a folder or one image."""
    return ImageFolder(list_images(Path(address)), options)


def _read(path: Path) -> Image | None:
    """The image, or None for a file that OpenCV cannot decode (imread only takes UTF-8 names)."""
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else image.astype(np.uint8, copy=False)
