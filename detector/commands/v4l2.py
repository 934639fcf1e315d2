"""What a webcam offers, asked by V4L2's ioctls: linux/videodev2.h, the same on all 64-bit Linux."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP, struct v4l2_capability
_ENUM_FMT = 0xC0405602  # VIDIOC_ENUM_FMT, struct v4l2_fmtdesc
_ENUM_SIZES = 0xC02C564A  # VIDIOC_ENUM_FRAMESIZES, struct v4l2_frmsizeenum
_ENUM_INTERVALS = 0xC034564B  # VIDIOC_ENUM_FRAMEINTERVALS, struct v4l2_frmivalenum

_CAPTURE = 1  # V4L2_CAP_VIDEO_CAPTURE and V4L2_BUF_TYPE_VIDEO_CAPTURE
_DEVICE_CAPS = 0x80000000  # V4L2_CAP_DEVICE_CAPS: the node's own capabilities are given, too
_DISCRETE = 1  # V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE
_MOST = 200  # answers to one question; a driver that never ends its list is broken


@dataclasses.dataclass(frozen=True)
class VideoMode:
    """One size in one format, as a person reads it.

    format: four characters, such as MJPG.
    size: in pixels, or the least and the greatest.
    rates: frames a second, or the least and the greatest; empty if unknown.
    """

    format: str
    size: str
    rates: str


def read_modes(path: Path) -> list[VideoMode] | None:
    """The modes of a video node; None if it gives no video, as those for metadata do.

    Raises:
        OSError: it cannot be opened, or is no video node.
    """
    node = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        if not _captures(node):
            return None
        return [
            VideoMode(_to_text(code), _format_size(size), _read_rates(node, code, size))
            for code in _iterate_formats(node)
            for size in _iterate_sizes(node, code)
        ]
    finally:
        os.close(node)


def _captures(node: int) -> bool:
    answer = bytearray(104)
    fcntl.ioctl(node, _QUERYCAP, answer)
    all_nodes, own = struct.unpack_from("=II", answer, 84)
    return bool((own if all_nodes & _DEVICE_CAPS else all_nodes) & _CAPTURE)


def _iterate_formats(node: int) -> Iterator[int]:
    for answer in _enumerate(node, _ENUM_FMT, 64, _CAPTURE):
        yield struct.unpack_from("=I", answer, 44)[0]


def _iterate_sizes(node: int, code: int) -> Iterator[tuple[int, ...]]:
    """Width and height; or the least and the greatest width, and the same of the height."""
    for answer in _enumerate(node, _ENUM_SIZES, 44, code):
        kind, *numbers = struct.unpack_from("=7I", answer, 8)
        if kind == _DISCRETE:
            yield numbers[0], numbers[1]
        else:
            yield numbers[0], numbers[1], numbers[3], numbers[4]
            return  # it is the only answer


def _read_rates(node: int, code: int, size: tuple[int, ...]) -> str:
    width, height = size if len(size) == 2 else (size[1], size[3])
    rates = []
    for answer in _enumerate(node, _ENUM_INTERVALS, 52, code, width, height):
        # A rate is given as the time from frame to frame, a fraction of a second.
        kind, *numbers = struct.unpack_from("=5I", answer, 16)
        if kind != _DISCRETE:
            shortest, longest = _to_rate(*numbers[:2]), _to_rate(*numbers[2:])
            return f"{longest} to {shortest}"
        rates.append(_to_rate(*numbers[:2]))
    return ", ".join(rates)


def _to_rate(numerator: int, denominator: int) -> str:
    return f"{denominator / numerator:g}" if numerator else "?"


def _enumerate(node: int, question: int, length: int, *about: int) -> Iterator[bytes]:
    """The answers number 0, 1, ... until the driver has no more."""
    for index in range(_MOST):
        answer = bytearray(length)
        struct.pack_into(f"={1 + len(about)}I", answer, 0, index, *about)
        try:
            fcntl.ioctl(node, question, answer)
        except OSError:
            return  # EINVAL after the last one, ENOTTY from a driver that cannot tell
        yield bytes(answer)


def _to_text(code: int) -> str:
    text = (code & 0x7FFFFFFF).to_bytes(4, "little").decode("ascii", "replace")
    return "".join(sign for sign in text if sign.isprintable()).strip()


def _format_size(size: tuple[int, ...]) -> str:
    if len(size) == 2:
        return f"{size[0]}x{size[1]}"
    return f"{size[0]}x{size[2]} to {size[1]}x{size[3]}"
