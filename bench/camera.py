"""Clips that are cheap to search, so that what is measured is not the search."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from testing.clips import clips

CUT = 160  # pixels a side around a face of the bundled clip
NOISE = 3.0  # standard deviation: no two pictures are alike


@functools.cache
def _portraits(count: int = 40) -> tuple[clips.Image, ...]:
    """The surroundings of the face in frames of the bundled clip."""
    path = str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml")
    cascade = cv2.CascadeClassifier(path)
    cuts = []
    for image in clips.faces(count):
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        x, y, w, h = cascade.detectMultiScale(grey, 1.1, 5, minSize=(70, 70))[0]
        left = min(max(0, x + w // 2 - CUT // 2), image.shape[1] - CUT)
        top = min(max(0, y + h // 2 - CUT // 2), image.shape[0] - CUT)
        cuts.append(image[top : top + CUT, left : left + CUT])
    return tuple(cuts)


def close(folder: Path, fps: float, seed: int, frames: int = 400, size: int = 128) -> Path:
    """A face, half as high as the picture, in each frame; found in 3 ms with MIN_FACE=0.4."""
    noise = np.random.default_rng(seed)

    def images() -> Iterator[clips.Image]:
        small = [cv2.resize(cut, (size, size)) for cut in _portraits()]
        for index in range(frames):
            image = small[index % len(small)]
            spoilt = image + noise.normal(0.0, NOISE, image.shape)
            yield np.clip(spoilt, 0, 255).astype(np.uint8)

    return clips.write(folder / "close.mp4", images(), fps=fps)


def nobody(folder: Path) -> Path:
    """A clip that shows no face."""
    grey = np.full((128, 128, 3), 128, np.uint8)
    return clips.write(folder / "nobody.mp4", [grey] * 3)
