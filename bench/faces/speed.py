"""Times the plain loop: the same frames through each engine in turn, round after round.

A frame is decoded and scaled outside of the time; what is timed is all that an engine does with it,
search, cutting and encoding, with two threads for OpenCV.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from bench.faces.data import Clip, Image, say
from bench.faces.engines import Engine

FULL = (1920, 1080)
THREADS = 2
FPS = 30.0


@dataclasses.dataclass(frozen=True)
class Material:
    """Frames to look at, made anew each time; `about` says of what."""

    about: str
    path: Path  # of the first clip in it
    frames: Callable[[], Iterator[Image]]


def run(engines: list[Engine], material: list[Material], rounds: int) -> dict[str, float]:
    """How many times as fast as the first engine each is, over all of the material."""
    totals = dict.fromkeys((engine.name for engine in engines), 0.0)
    for one in material:
        times: dict[str, list[float]] = {engine.name: [] for engine in engines}
        for _ in range(rounds):
            for engine in engines:
                times[engine.name].append(_seconds(engine, one))
        middle = {name: statistics.median(taken) for name, taken in times.items()}
        for name, seconds in middle.items():
            totals[name] += seconds
        of_plain = middle[engines[0].name]
        each = ", ".join(
            f"{name} {seconds * 1000:.1f} ms a frame ({_times(of_plain, seconds):.1f} x)"
            for name, seconds in middle.items()
        )
        say(f"speed: {one.about}: {each}")
    first = totals[engines[0].name]
    return {name: _times(first, seconds) for name, seconds in totals.items()}


def _times(plain: float, seconds: float) -> float:
    return plain / seconds if seconds else 0.0


def _seconds(engine: Engine, material: Material) -> float:
    """Per frame, from the first to the last of the material, its end included."""
    follower = engine.follower(material.path, FPS, engine.modes[-1])
    cv2.setNumThreads(THREADS)  # after the engine has had its say
    total, count = 0.0, 0
    for image in material.frames():
        began = time.perf_counter()
        follower.see(image, count)
        total += time.perf_counter() - began
        count += 1
    began = time.perf_counter()
    follower.end()
    total += time.perf_counter() - began
    return total / max(1, count)


def crowded(clips: list[Clip], most: int) -> list[Material]:
    """1080p with people: four clips tiled, the clip of most faces, and one of a single face."""
    peopled = sorted((clip for clip in clips if _peopled(clip)), key=_faces, reverse=True)
    large = sorted(peopled, key=lambda clip: -clip.size[0] * clip.size[1])
    single = [clip for clip in large if _faces(clip) <= 1]
    four = _spread([clip for clip in single if clip.size[1] >= 300] or single, 4)
    material = [_tiled(four, most)] if len(four) == 4 else []
    chosen = {clip.name: clip for clip in [*peopled[:1], *single[:1]]}
    return material + [_scaled(clip, most) for clip in chosen.values()]


def ordinary(clips: list[Clip], most: int) -> list[Material]:
    """About 640 x 480, as they are: the clip of most faces, and three others."""
    near = [c for c in clips if _peopled(c) and 230_000 <= c.size[0] * c.size[1] <= 410_000]
    by_faces = sorted(near, key=_faces, reverse=True)
    return [_as_is(clip, most) for clip in by_faces[:1] + _spread(by_faces[1:], 3)]


def deserted(clips: list[Clip], most: int) -> list[Material]:
    """1080p with nobody in view: the clip that moves most, and the one that moves least."""
    empty = sorted((clip for clip in clips if clip.truth.empty), key=_motion)
    return [_scaled(clip, most) for clip in {c.name: c for c in empty[:1] + empty[-1:]}.values()]


def _peopled(clip: Clip) -> bool:
    """Whether somebody is in view nearly always."""
    labels = clip.truth.faces.values()
    return bool(labels) and sum(map(bool, labels)) >= 0.9 * len(labels)


def _faces(clip: Clip) -> float:
    return statistics.fmean(len(faces) for faces in clip.truth.faces.values())


def _motion(clip: Clip) -> float:
    """Mean difference of grey values between neighbouring frames, of the first thirty."""
    grey = [
        cv2.cvtColor(cv2.resize(image, (160, 90)), cv2.COLOR_BGR2GRAY) for image in clip.frames(30)
    ]
    changes = [np.mean(cv2.absdiff(a, b)) for a, b in itertools.pairwise(grey)]
    return float(np.mean(changes)) if changes else 0.0


def _spread(clips: list[Clip], count: int) -> list[Clip]:
    """So many of them, evenly from first to last."""
    if len(clips) <= count:
        return clips
    return [clips[round(i * (len(clips) - 1) / max(1, count - 1))] for i in range(count)]


def _as_is(clip: Clip, most: int) -> Material:
    return Material(clip.name, clip.path, lambda: clip.frames(most))


def _scaled(clip: Clip, most: int) -> Material:
    def frames() -> Iterator[Image]:
        for image in clip.frames(most):
            yield _filling(image, clip, FULL)

    return Material(f"{clip.name} at 1080p", clip.path, frames)


def _tiled(four: list[Clip], most: int) -> Material:
    def frames() -> Iterator[Image]:
        half = FULL[0] // 2, FULL[1] // 2
        for images in zip(*(clip.frames(most) for clip in four), strict=False):
            a, b, c, d = (_filling(i, clip, half) for i, clip in zip(images, four, strict=True))
            yield np.vstack([np.hstack([a, b]), np.hstack([c, d])])

    names = ", ".join(clip.name for clip in four)
    return Material(f"{names}, tiled to 1080p", four[0].path, frames)


def _filling(image: Image, clip: Clip, size: tuple[int, int]) -> Image:
    """The picture scaled to fill a size, what is too much cut away, the faces kept in view."""
    width, height = size
    grow = max(width / image.shape[1], height / image.shape[0])
    whole = max(width, round(image.shape[1] * grow)), max(height, round(image.shape[0] * grow))
    large = cv2.resize(image, whole, interpolation=cv2.INTER_LINEAR)
    boxes = [box for faces in clip.truth.faces.values() for box in faces]
    middle = [
        statistics.median([b[0] + b[2] / 2 for b in boxes] or [image.shape[1] / 2]) * grow,
        statistics.median([b[1] + b[3] / 2 for b in boxes] or [image.shape[0] / 2]) * grow,
    ]
    left = min(max(0, round(middle[0] - width / 2)), whole[0] - width)
    top = min(max(0, round(middle[1] - height / 2)), whole[1] - height)
    return np.ascontiguousarray(large[top : top + height, left : left + width], dtype=np.uint8)
