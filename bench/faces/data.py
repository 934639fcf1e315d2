"""A data folder: stills, negatives and clips with labels. Any part of it may be missing.

    stills/<set>/boxes.json       picture -> [[x, y, w, h], ...]
    stills/<set>/ignore.json      the same, of regions that count neither way
    stills/<set>/images/          the pictures, in subfolders or not
    negatives/**                  pictures without faces
    clips/<clip>                  videos, and
    clips/labels/<clip>.json      {"step": n, "labels": {frame: {"faces": [...], "ignore": [...]}}}
    clips/visits.json             clip -> [{frame: [x, y, w, h], ...}, ...]

A frame's number is the order in which cv2.VideoCapture decodes it, from 0.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bench.faces.match import Box
from bench.faces.truth import Truth, Visit

Image = npt.NDArray[np.uint8]
DEFAULT = Path(os.environ.get("TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".pgm", ".ppm", ".tif", ".tiff"}
VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".mpg", ".mpeg", ".webm", ".gif", ".m4v", ".ogv"}


@dataclasses.dataclass(frozen=True)
class Still:
    """A picture with its labelled faces."""

    path: Path
    faces: list[Box]
    ignore: list[Box]


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video with what is known about it; `name` as in visits.json.

    change: makes other frames of the file's; rate: frames a second, if not as the file says.
    """

    path: Path
    name: str
    truth: Truth
    change: Callable[[Iterable[Image]], Iterator[Image]] | None = None
    rate: float | None = None

    def frames(self, most: int | None = None) -> Iterator[Image]:
        """Frames in order of decoding, `most` of them at most."""
        if self.change is None:
            yield from frames(self.path, most)
        else:
            yield from itertools.islice(self.change(frames(self.path)), most)

    @property
    def fps(self) -> float:
        """Frames a second as the file says; 25 where it does not."""
        if self.rate is not None:
            return self.rate
        told = float(cv2.VideoCapture(str(self.path)).get(cv2.CAP_PROP_FPS))
        return told if 1 <= told <= 240 else 25.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; zeros where it cannot be opened."""
        video = cv2.VideoCapture(str(self.path))
        return int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))


def say(text: str) -> None:
    """A line of progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def picture(path: Path) -> Image | None:
    """A picture as BGR; of a moving one the first frame; None where it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return next(frames(path, 1), None) if image is None else image.astype(np.uint8, copy=False)


def frames(path: Path, most: int | None = None) -> Iterator[Image]:
    video = cv2.VideoCapture(str(path))
    taken = 0
    while most is None or taken < most:
        ok, image = video.read()
        if not ok:
            return
        taken += 1
        yield image.astype(np.uint8, copy=False)


def stills(folder: Path) -> list[Still]:
    """Labelled pictures of all sets; one that is not there is told and left out."""
    found, missing = [], 0
    for listing in sorted((folder / "stills").rglob("boxes.json")):
        ignored = _json(listing.with_name("ignore.json"))
        by_name = {path.name: path for path in _files(listing.parent, PICTURES)}
        for name, boxes in sorted(_json(listing).items()):
            direct = [listing.parent / "images" / name, listing.parent / name]
            path = next((p for p in direct if p.is_file()), by_name.get(Path(name).name))
            if path is None:
                missing += 1
                continue
            found.append(Still(path, _boxes(boxes), _boxes(ignored.get(name, []))))
    if missing:
        say(f"{missing} labelled pictures are not there, and left out")
    return found


def negatives(folder: Path) -> list[Path]:
    """Pictures without faces."""
    return list(_files(folder / "negatives", PICTURES))


def clips(folder: Path) -> list[Clip]:
    """Videos that have labels."""
    top = folder / "clips"
    visits = _json(top / "visits.json")
    found = []
    for path in _files(top, VIDEOS):
        name = path.relative_to(top).as_posix()
        choices = [top / "labels" / f"{name}.json", top / "labels" / f"{path.name}.json"]
        labels = next((choice for choice in choices if choice.is_file()), None)
        if labels is None:
            say(f"{name} has no labels, and is left out")
            continue
        own = visits.get(name, visits.get(path.name, []))
        found.append(Clip(path, name, _truth(_json(labels), own)))
    if found and not visits:
        say("there is no clips/visits.json: nothing can be said about visits")
    return found


def _truth(told: dict[str, Any], visits: list[dict[str, Any]]) -> Truth:
    labels = told.get("labels", {})
    return Truth(
        step=int(told.get("step", 1)),
        faces={int(i): _boxes(label.get("faces", [])) for i, label in labels.items()},
        ignore={int(i): _boxes(label.get("ignore", [])) for i, label in labels.items()},
        visits=[Visit({int(i): _box(box) for i, box in visit.items()}) for visit in visits],
    )


def _files(folder: Path, kinds: set[str]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in kinds and path.is_file():
            yield path


def _json(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return loaded


def _boxes(boxes: list[list[float]]) -> list[Box]:
    return [_box(box) for box in boxes]


def _box(box: list[float]) -> Box:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])
