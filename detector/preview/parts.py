"""The parts of the stream to viewers: each a line of JSON, and as many bytes of JPEG as it says."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import cv2
import numpy as np

from detector.picture import Picture
from detector.planes import Image

WIDTH = 960  # pixels, at most, of the picture shown
SMALL_WIDTH = 240  # pixels of the picture of a camera beside the one that is shown large
QUALITY = 80  # of JPEG
FACE_SIDE = 160  # pixels of a face sent, at most


@dataclasses.dataclass(frozen=True)
class Mark:
    """A face in view: its box (x, y, w, h in frame pixels) and what is known of it.

    `track`: the number shown; `score`: the judge's confidence; `quality`: what best-shot
    compares, 0 to 1; `confirmed`: no mere candidate any more; `sent`: a shot of it was sent in
    this frame; `verdict`: why a candidate is not taken for a face, in a few words.
    """

    box: tuple[int, int, int, int]
    track: int
    score: float
    quality: float
    confirmed: bool
    sent: bool
    verdict: str = ""


def encode_state(mark: Mark, flashed: set[int]) -> dict[str, Any]:
    state = {**dataclasses.asdict(mark), "sent": mark.track in flashed}
    del state["verdict"]
    return {name: to_plain(value) for name, value in state.items()}


def verdicts(marks: list[Mark]) -> dict[str, str]:
    """What is said of each candidate that is not confirmed, by its track."""
    return {str(mark.track): mark.verdict for mark in marks if not mark.confirmed}


def to_plain(value: Any) -> Any:
    """For JSON, which knows neither infinities nor NumPy's numbers."""
    if isinstance(value, (tuple, list)):
        return [int(number) for number in value]
    if isinstance(value, (bool, int)):
        return value
    return float(value) if math.isfinite(value) else None


def part(facts: dict[str, Any], body: bytes = b"") -> bytes:
    return json.dumps({**facts, "bytes": len(body)}).encode() + b"\n" + body


def shrink_picture(picture: Picture, most: int = WIDTH) -> Image:
    """A copy in BGR, `most` pixels wide at most."""
    height, width = picture.shape
    if width <= most:
        return picture.bgr.copy()
    return picture.resize((most, max(1, round(height * most / width)))).bgr


def face(png: bytes, facts: dict[str, str]) -> bytes:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return b""
    height, width = image.shape[:2]
    shrink = min(1.0, FACE_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return part({"kind": "face", "facts": facts, "png_bytes": len(png)}, jpeg(small))


def jpeg(image: Image) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
