"""From a PNG of anybody's to a small picture, within a bound of memory."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from common import png

SIDE = 240  # pixels of the longer side of a thumbnail
MAX_PIXELS = 12_000_000  # of a picture that is reduced: 48 MB while it is
# What a picture is made of. All else a PNG may carry (profiles, texts, which may unpack to
# megabytes) is left out before anything reads it: PNG specification (third edition), 11.2, 11.3.1.
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class UnreadablePicture(Exception):
    """`reason`: not_image, too_large."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def create_thumbnail(original: bytes) -> bytes:
    """A PNG as WebP of SIDE pixels at most.

    Raises:
        UnreadablePicture: it is no sound PNG, or has more than MAX_PIXELS.
    """
    try:
        width, height = png.read_size(original)
        if width * height > MAX_PIXELS:
            raise UnreadablePicture("too_large")
        plain = _strip_chunks(original)
    except png.BadImage as error:
        raise UnreadablePicture("not_image") from error
    try:
        return _shrink(plain)
    except Exception as error:
        # Whatever Pillow stumbles over in what strangers have made, it is that picture's fault.
        raise UnreadablePicture("not_image") from error


def _strip_chunks(original: bytes) -> bytes:
    """The PNG without what a picture does not need. Raises BadImage."""
    chunks = [
        png.encode_chunk(kind, body)
        for kind, body in png.iterate_chunks(original)
        if kind in _NEEDED
    ]
    return b"".join([png.SIGNATURE, *chunks])


def _shrink(plain: bytes) -> bytes:
    with warnings.catch_warnings(), Image.open(io.BytesIO(plain), formats=["PNG"]) as image:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()
        small = _read_scaled(image, max(1, min(image.size) // (2 * SIDE)))
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=80, method=2)
        return out.getvalue()


def _read_scaled(image: Image.Image, factor: int) -> Image.Image:
    """Reduced by a whole factor, strip by strip: there is no second copy of a large picture."""
    width, height = image.size
    coarse = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    step = 64 * factor
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(height, top + step))).convert("RGB")
        coarse.paste(strip.reduce(factor), (0, top // factor))
    return coarse
