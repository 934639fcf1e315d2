"""From a detection to a PNG: cut out at full resolution, encoded without loss."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from common.png import HEADER_END, encode_chunk
from detector.parsers import Region
from detector.picture import Box, Picture
from detector.planes import Image

# With these OpenCV tries all filters instead of one: a fifth fewer bytes than by default, in 1.6
# times the time, while the next frame is searched: docs/decisions/0021-png.md.
PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)


class CannotEncode(Exception):
    """OpenCV could not encode a PNG."""


@dataclasses.dataclass(frozen=True)
class FaceCrop:
    """A face cut out of one frame, and its facts.

    image: height x width x 3, BGR; box: the rectangle that was cut, in pixels of the frame; face:
    the bounding box as detected.
    """

    image: Image
    box: Box
    face: Box
    frame_size: tuple[int, int]  # width, height
    frame_index: int | None
    at: float  # seconds since 1970
    time: float  # seconds on the source's clock
    score: float
    sharpness: float
    quality: float
    track: str
    engine: str


def prepare(picture: Picture, degrees: int, regions: tuple[Region, ...]) -> Picture:
    """The picture as it is searched and sent: turned clockwise, and masked.

    It may be the same one, changed in place.
    """
    turned = picture.rotate(degrees)
    apply_mask(turned, regions)
    return turned


def apply_mask(picture: Picture, regions: tuple[Region, ...]) -> None:
    """Black out regions (fractions of the frame) in place, for search and shots alike."""
    height, width = picture.shape
    for x, y, w, h in regions:
        left, top = math.floor(x * width), math.floor(y * height)
        right, bottom = math.ceil((x + w) * width), math.ceil((y + h) * height)
        picture.black_out((left, top, right - left, bottom - top))


def add_margin(face: Box, margin: float, width: int, height: int) -> Box:
    """`face` with `margin` of its size added on each side, clipped to the frame."""
    x, y, w, h = face
    across, down = round(w * margin), round(h * margin)
    left, top = max(0, x - across), max(0, y - down)
    right, bottom = min(width, x + w + across), min(height, y + h + down)
    return left, top, right - left, bottom - top


def encode_crop(
    shot: FaceCrop, max_bytes: int, texts: dict[str, str] | None = None
) -> tuple[bytes, float]:
    """A shot as PNG of at most `max_bytes`, and its scale: below 1 if it had to be reduced.

    `texts` are stored in the PNG by keyword, so that a downloaded copy still has them.

    Raises:
        CannotEncode: OpenCV failed.
    """
    height, width = shot.image.shape[:2]
    text = b"".join(_text_chunk(keyword, value) for keyword, value in (texts or {}).items())
    room = max_bytes - len(text)
    png = _encode_png(shot.image)
    scale = 1.0
    while len(png) > room:
        # Bytes are proportional to the area; a little less, since small pictures compress worse.
        scale *= 0.95 * math.sqrt(room / len(png))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        png = _encode_png(
            cv2.resize(shot.image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        )
    return png[:HEADER_END] + text + png[HEADER_END:], scale


def _text_chunk(keyword: str, value: str) -> bytes:
    """A tEXt chunk of plain ASCII: PNG specification (third edition), section 11.3.3.2."""
    return encode_chunk(b"tEXt", keyword.encode("ascii") + b"\0" + value.encode("ascii"))


def _encode_png(image: Image) -> bytes:
    ok, png = cv2.imencode(".png", image, PNG)
    if not ok:
        raise CannotEncode(f"no PNG of {image.shape[1]} x {image.shape[0]} pixels")
    return png.tobytes()
