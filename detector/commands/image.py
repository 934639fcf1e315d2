"""`python -m detector --image FILE...`: the faces of single pictures, for trying settings."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.settings import SettingsError
from detector.detection import registry
from detector.detection.base import Detection
from detector.encoding import crop
from detector.picture import Picture
from detector.planes import Image
from detector.settings import DetectorSettings
from detector.tracking import quality
from detector.tracking.scheduler import detect_still

_COLOUR = (0, 255, 0)  # BGR


def print_faces(settings: DetectorSettings, arguments: argparse.Namespace) -> int:
    """Print the faces of each picture as a line of JSON; returns 1 if reading or writing fails.

    `ROTATE` and `MASK` apply; boxes are in the rotated picture.

    Raises:
        SettingsError: the folder for annotated pictures cannot be created.
    """
    paths = [Path(name) for name in arguments.image]
    folder = Path(arguments.annotate) if arguments.annotate else None
    names = AnnotatedNames(folder, paths) if folder else None
    engine = registry.create(settings.engine, settings.engine_options)
    code = 0
    for path in paths:
        image = _read(path)
        if image is None:
            sys.stderr.write(f"detector: {path} cannot be read as a picture (unreadable)\n")
            code = 1
            continue
        picture = crop.prepare(Picture.from_bgr(image), settings.rotate, settings.mask)
        found = detect_still(engine, picture, settings.min_face, settings.detect_width)
        print(json.dumps(_to_dict(path, picture, found, engine.name)), flush=True)  # noqa: T201 - its work
        if names and not write_picture(names.choose(path), annotate(picture.bgr, found)):
            code = 1
    return code


def annotate(image: Image, found: list[Detection]) -> Image:
    """A copy of the picture with a box around each face, and its score at the box."""
    drawn = image.copy()
    line = max(1, round(min(image.shape[:2]) / 300))
    size = max(0.4, min(image.shape[:2]) / 1000)
    for one in found:
        x, y, w, h = one.box
        cv2.rectangle(drawn, (x, y), (x + w - 1, y + h - 1), _COLOUR, line)
        place = x, y - 2 * line if y > 40 * size else y + h + round(30 * size)
        for colour, thick in (((0, 0, 0), 3 * line), (_COLOUR, line)):
            text = f"{one.score:.3g}"
            cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick)
    return drawn


class AnnotatedNames:
    """Unique names for annotated pictures in one folder; none overwrites a picture that is read."""

    def __init__(self, folder: Path, inputs: list[Path]) -> None:
        """
        Raises:
            SettingsError: the folder cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError([f"--annotate: {folder}: {error.strerror}"]) from None
        self._folder = folder.resolve()
        self._taken = {path.resolve() for path in inputs}

    def choose(self, of: Path) -> Path:
        """`NAME-faces.png`, or the first of `NAME-faces-2.png` and so on that is free."""
        number = 1
        while True:
            end = f"-{number}" if number > 1 else ""
            path = (self._folder / f"{of.stem}-faces{end}.png").resolve()
            if path not in self._taken:
                self._taken.add(path)
                return path
            number += 1


def _to_dict(
    path: Path, picture: Picture, found: list[Detection], engine_name: str
) -> dict[str, Any]:
    return {
        "image": str(path),
        "width": picture.shape[1],
        "height": picture.shape[0],
        "engine": engine_name,
        "faces": [_facts(picture, one) for one in found],
    }


def _facts(picture: Picture, one: Detection) -> dict[str, Any]:
    sharp = quality.sharpness(picture, one.box)
    return {
        "box": list(one.box),
        "score": round(one.score, 4),
        "sharpness": round(sharp, 1),
        "quality": round(quality.quality(sharp, one.frontal, one.box, picture), 3),
    }


def _read(path: Path) -> Image | None:
    """The picture as BGR, or the first frame of an animation; None if it cannot be read."""
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


def write_picture(path: Path, image: Image) -> bool:
    """Write a picture in the format of the file's suffix; returns whether it worked."""
    try:
        path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    except OSError as error:
        sys.stderr.write(f"detector: {path} cannot be written: {error.strerror}\n")
        return False
    return True
