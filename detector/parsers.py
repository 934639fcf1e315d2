"""Parsers of the detector's own kinds of settings."""

from __future__ import annotations

import os
import re

from common.settings import choice
from detector.detection.model_files import CASCADES

Region = tuple[float, float, float, float]  # x, y, w, h in fractions of the frame


def size(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", value)
    if match is None:
        raise ValueError("must be WIDTHxHEIGHT in pixels, such as 1280x720")
    return int(match[1]), int(match[2])


def regions(value: str) -> tuple[Region, ...]:
    found: list[Region] = []
    for part in value.split(";"):
        try:
            x, y, w, h = (float(n) for n in part.split(","))
        except ValueError:
            raise ValueError("must be x,y,w,h;x,y,w,h;... in fractions of the frame") from None
        if not (0 <= x < 1 and 0 <= y < 1 and 0 < w <= 1 and 0 < h <= 1):
            raise ValueError("must have x and y from 0 to 1, w and h above 0 and at most 1")
        found.append((x, y, w, h))
    return tuple(found)


def quarter_turns(value: str) -> int:
    return int(choice("0", "90", "180", "270")(value))


def cascade(value: str) -> str:
    own = CASCADES / f"{value.removesuffix('.xml')}.xml"
    path = value if os.path.isfile(value) else str(own)
    if not os.path.isfile(path):
        known = ", ".join(sorted(p.stem for p in CASCADES.glob("haarcascade_*face*.xml")))
        raise ValueError(f"must be an XML file, or one of OpenCV's: {known}")
    return path


def topics_overlap(one: str, other: str) -> bool:
    """Whether one of two topics is, or is above, the other."""
    short, long = sorted((one, other), key=len)
    return f"{long}/".startswith(f"{short}/")
