"""Clips: the bundled one, which shows a face, and small ones made of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from testing.services.process import ROOT

CLIP = ROOT / "demo" / "clip.mp4"  # a portrait moves, leaves and comes back
Image = npt.NDArray[np.uint8]


def frames(path: Path = CLIP) -> Iterator[Image]:
    """The frames of a clip as anyone would read them."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    while True:
        ok, image = capture.read()
        if not ok:
            return
        yield image.astype(np.uint8)


def faces(count: int, start: int = 80) -> list[Image]:
    """Frames of the bundled clip; each from 80 to 120 shows one face."""
    return [image for index, image in zip(range(start + count), frames(), strict=False)][start:]


def resize(image: Image, size: tuple[int, int]) -> Image:
    """The image, shrunk to width and height."""
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def write(path: Path, images: Iterable[Image], fourcc: str = "mp4v", fps: float = 25.0) -> Path:
    """Make a video of `images`."""
    writer: cv2.VideoWriter | None = None
    for image in images:
        if writer is None:
            height, width = image.shape[:2]
            code = cv2.VideoWriter.fourcc(*fourcc)
            writer = cv2.VideoWriter(str(path), code, fps, (width, height))
            assert writer.isOpened(), f"OpenCV cannot write {path.name} as {fourcc}"
        writer.write(image)
    assert writer is not None
    writer.release()
    return path


def cut(path: Path, of: Path, share: float) -> Path:
    """The first `share` of a file's bytes."""
    data = of.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def decode(png: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None, "it is no PNG that opens"
    return image.astype(np.uint8)


def is_same(image: Image, expected: Image) -> bool:
    """Whether two pictures have the same pixels, but for how a decoder rounds colours."""
    return image.shape == expected.shape and float(cv2.absdiff(image, expected).mean()) < 2


def faststart(path: Path, of: Path = CLIP) -> Path:
    """The same MP4 with its index (moov) before its frames (mdat), as streaming sites have them."""
    data = of.read_bytes()
    boxes: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append((data[at + 4 : at + 8], data[at : at + size]))
        at += size
    assert [kind for kind, _ in boxes][-1] == b"moov"
    moov = bytearray(boxes[-1][1])
    table = moov.index(b"stco")  # offsets of chunks in the file: ISO/IEC 14496-12, section 8.7.5
    count = int.from_bytes(moov[table + 8 : table + 12], "big")
    for entry in range(table + 12, table + 12 + 4 * count, 4):
        offset = int.from_bytes(moov[entry : entry + 4], "big") + len(moov)
        moov[entry : entry + 4] = offset.to_bytes(4, "big")
    head = [box for kind, box in boxes[:-1] if kind == b"ftyp"]
    rest = [box for kind, box in boxes[:-1] if kind != b"ftyp"]
    path.write_bytes(b"".join([*head, bytes(moov), *rest]))
    return path
