"""Small scenes whose truth is known: a bundled, free face moved over a wall."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from detector.capture.frame import Frame
from detector.picture import Box, Picture
from testing.clips.clips import Image, faces

FPS = 25.0
WIDTH, HEIGHT = 640, 360
SIDE = 130  # pixels of the picture that is moved about, whose face is about 80 wide
Place = tuple[float, float] | None  # where its top left corner is; None: not there


def picture(mirrored: bool = False, blur: float = 0.0) -> Image:
    """A face with some room around it."""
    cut = faces(1)[0][45 : 45 + SIDE, 236 : 236 + SIDE]
    cut = cut[:, ::-1].copy() if mirrored else cut
    return cv2.GaussianBlur(cut, (0, 0), blur).astype(np.uint8) if blur else cut


def wall(noise: float = 1.0, seed: int = 3) -> Image:
    """A smooth wall, with the noise of a camera."""
    across = np.linspace(90, 150, WIDTH)
    grey = np.tile(across, (HEIGHT, 1)) + np.random.default_rng(seed).normal(
        0, noise, (HEIGHT, WIDTH)
    )
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def paste(image: Image, face: Image, at: tuple[float, float]) -> None:
    """Put a picture there, cut off where it leaves the frame."""
    x, y = round(at[0]), round(at[1])
    height, width = face.shape[:2]
    left, top = max(0, x), max(0, y)
    right, bottom = min(WIDTH, x + width), min(HEIGHT, y + height)
    if right > left and bottom > top:
        image[top:bottom, left:right] = face[top - y : bottom - y, left - x : right - x]


def scene(
    seconds: float, *actors: tuple[Callable[[float], Image], Callable[[float], Place]]
) -> Iterator[Frame]:
    """Frames of `seconds`; an actor is a picture and a place by time; the last one is in front."""
    for index in range(round(seconds * FPS)):
        time = index / FPS
        image = wall(seed=index)
        for look, place in actors:
            at = place(time)
            if at is not None:
                paste(image, look(time), at)
        yield Frame(Picture.from_bgr(image), index, 1_700_000_000 + time, time)


def face_of(at: tuple[float, float]) -> Box:
    """About where the face is of a picture placed there."""
    return round(at[0]) + 25, round(at[1]) + 25, 80, 80
