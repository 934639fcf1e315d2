"""False shots a camera and day: scenes without people, played for a long time.

`python -m bench.quiet [--data DIR]` shows the detector scenes in which nobody is: the folder's
pictures without faces as still scenes and its clips without anybody in a loop, both with a
camera's noise and the light of a day that goes by, and what moves at night: leaves in the wind,
rain, passing headlights, a screensaver. Every shot that is sent is false. Each scene is a camera,
and the minutes that it lasts stand for a day: the light changes as much as on a day, only faster.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from bench.faces import data
from bench.faces.data import Image, say
from bench.faces.product import Product
from bench.report import Figure, tell

SIZE = 1280, 720
FPS = 5.0
NOISE = 2.0  # grey levels
DAYLIGHT = 0.35  # share of the light that comes and goes
ENGINES = ("haar", "haar-cascade", "yunet")
GOALS = {"haar": 2.0, "haar-cascade": 10.0, "yunet": 2.0}
Frames = Iterator[Image]


@dataclasses.dataclass(frozen=True)
class Scene:
    """frames: without end, before noise and light."""

    kind: str
    name: str
    path: Path
    frames: Callable[[], Frames]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.quiet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=data.DEFAULT, help="default: %(default)s")
    parser.add_argument("--engines", default="haar", help="a,b,... of " + ", ".join(ENGINES))
    parser.add_argument("--pictures", type=int, default=40, help="of those without faces (40)")
    parser.add_argument("--minutes", type=float, default=1.0, help="each scene lasts (1)")
    options = parser.parse_args()
    scenes = [*still(options.data, options.pictures), *looped(options.data), *made_up()]
    figures = []
    for name in options.engines.split(","):
        engine = Product(name, {}, modes=("interval",))
        shots = [watch(engine, scene, options.minutes) for scene in scenes]
        mean = sum(shots) / len(shots)
        figures.append(
            Figure(f"{name}: false shots a camera and day", mean, "", GOALS[name], "at most")
        )
        for kind, group in itertools.groupby(zip(scenes, shots, strict=True), _kind):
            of_kind = [count for _, count in group]
            say(f"{name}: {kind}: {sum(of_kind)} shots by {len(of_kind)} cameras")
    tell("quiet", figures)
    return 0


def _kind(pair: tuple[Scene, int]) -> str:
    return pair[0].kind


def watch(engine: Product, scene: Scene, minutes: float) -> int:
    """Shots sent of a scene."""
    follower = engine.follower(scene.path, FPS, "interval")
    count = round(60 * minutes * FPS)
    shots = 0
    for index, image in enumerate(itertools.islice(scene.frames(), count)):
        sent = follower.see(lit(image, index, index / count), index)
        shots += len(sent)
    shots += len(follower.end())
    if shots:
        say(f"{engine.name}: {scene.kind} {scene.name}: {shots} shots")
    return shots


def lit(image: Image, seed: int, day: float) -> Image:
    """A frame as a camera sees it at a part of the day, 0 to 1."""
    light = 1 - DAYLIGHT * (1 - math.cos(2 * math.pi * day)) / 2
    noise = np.random.default_rng(seed).normal(0, NOISE, (image.shape[0] // 2, SIZE[0] // 2))
    grain = cv2.resize(noise.astype(np.float32), (image.shape[1], image.shape[0]))
    seen: Image = np.clip(light * image + grain[..., None], 0, 255).astype(np.uint8)
    return seen


def still(folder: Path, most: int) -> list[Scene]:
    """Pictures without faces, evenly from all of them."""
    paths = data.negatives(folder)
    step = max(1, len(paths) // most)
    scenes = []
    for path in paths[::step][:most]:
        image = data.picture(path)
        if image is not None:
            filled = filling(image)
            frames = functools.partial(itertools.repeat, filled)
            scenes.append(Scene("picture", path.name, path, frames))
    return scenes


def looped(folder: Path) -> list[Scene]:
    """Clips in which nobody is, again and again."""
    empty = [clip for clip in data.clips(folder) if clip.truth.empty]
    return [Scene("clip", clip.name, clip.path, functools.partial(_again, clip)) for clip in empty]


def _again(clip: data.Clip) -> Frames:
    step = max(1, round(clip.fps / FPS))
    while True:
        for image in itertools.islice(clip.frames(), 0, None, step):
            yield filling(image)


def made_up() -> list[Scene]:
    made = {"leaves": leaves, "rain": rain, "headlights": headlights, "screensaver": screensaver}
    here = Path(__file__)
    return [Scene("made", name, here, frames) for name, frames in made.items()]


def filling(image: Image) -> Image:
    """The picture at 1280 x 720, its middle if it is of another shape."""
    grow = max(SIZE[0] / image.shape[1], SIZE[1] / image.shape[0])
    large = cv2.resize(image, None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR)
    top, left = (large.shape[0] - SIZE[1]) // 2, (large.shape[1] - SIZE[0]) // 2
    return large[top : top + SIZE[1], left : left + SIZE[0]].astype(np.uint8)


def _blotches(seed: int, grain: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    noise = np.random.default_rng(seed).random((SIZE[1], SIZE[0])).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), grain)
    spread = (soft - soft.min()) / (soft.max() - soft.min())
    return np.asarray(spread, np.float32)


def leaves() -> Frames:
    """Dark and bright blotches of many sizes that sway."""
    tree = sum(_blotches(seed, grain) for seed, grain in ((1, 3.0), (2, 9.0), (3, 25.0)))
    picture = (70 * np.asarray(tree)[..., None] * (0.6, 1.0, 0.7)).clip(0, 255).astype(np.uint8)
    across, down = np.meshgrid(np.arange(SIZE[0], dtype=np.float32), np.arange(SIZE[1], dtype="f4"))
    for index in itertools.count():
        wind = 6 * math.sin(index / 4) + 3 * math.sin(index / 1.7)
        bend = np.sin(down / 60 + index / 3).astype(np.float32)
        yield cv2.remap(picture, across + wind * bend, down + 2 * bend, cv2.INTER_LINEAR).astype(
            "u1"
        )


def rain() -> Frames:
    """Bright streaks before a street at night."""
    street = (60 + 60 * _blotches(4, 40.0)[..., None] * (1, 1, 1)).astype(np.uint8)
    for index in itertools.count():
        draw = np.random.default_rng(index)
        image = street.copy()
        for x, y in draw.integers(0, SIZE, (250, 2)):
            cv2.line(image, (int(x), int(y)), (int(x) + 4, int(y) + 40), (170, 170, 170), 1)
        yield image


def headlights() -> Frames:
    """Pairs of lamps with a glow that come nearer in the dark."""
    for index in itertools.count():
        image = np.full((SIZE[1], SIZE[0], 3), 12, np.uint8)
        for car in range(3):
            way = (index / 40 + car / 3) % 1
            x, y, r = 200 + 900 * way, 300 + 200 * way, 4 + 30 * way
            for side in (-1, 1):
                cv2.circle(
                    image, (round(x + side * 3 * r), round(y)), round(r), (235, 245, 255), -1
                )
        yield cv2.GaussianBlur(image, (0, 0), 5).astype(np.uint8)


def screensaver() -> Frames:
    """Rings and a word that wander over a screen."""
    for index in itertools.count():
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        x, y = (abs((7 * index + 300 * n) % (2 * side) - side) for n, side in enumerate(SIZE))
        for ring in range(1, 6):
            cv2.circle(image, (x, y), 18 * ring, (40 * ring, 255 - 40 * ring, 180), 6)
        cv2.putText(image, "12:34", (y, x % SIZE[1]), cv2.FONT_HERSHEY_DUPLEX, 3, (90, 200, 90), 5)
        yield image


if __name__ == "__main__":
    sys.exit(main())
