"""The webcams of this machine, and what CAMERA is for each."""

from __future__ import annotations

import dataclasses
import errno
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from detector.commands.v4l2 import VideoMode, read_modes

NODES = Path("/sys/class/video4linux")
DEVICES = Path("/dev")
_NONE = "No webcam was found on this machine. (A container sees only those that it is given.)\n"


@dataclasses.dataclass(frozen=True)
class Webcam:
    """`path`: one that stays the same, if there is one. `problem`: why it has no modes."""

    name: str
    path: Path
    modes: list[VideoMode]
    problem: str = ""


def print_webcams(nodes: Path = NODES, devices: Path = DEVICES) -> int:
    """Print the webcams with their modes and the line for the settings; returns 0."""
    texts = [_describe(webcam) for webcam in find_webcams(nodes, devices)]
    sys.stdout.write("\n".join(texts) or _NONE)
    return 0


def find_webcams(nodes: Path, devices: Path) -> Iterator[Webcam]:
    """The webcams, in order of their numbers.

    nodes: the folder in which the kernel lists video nodes.
    devices: the folder of the nodes' device files.
    """
    for node in sorted(nodes.glob("video[0-9]*"), key=lambda path: int(path.name[5:])):
        path = devices / node.name
        if not path.exists():
            continue
        name = to_printable((node / "name").read_text(errors="replace"))
        stable = _find_stable_path(path, devices)
        try:
            modes = read_modes(path)
        except OSError as error:
            hint = " (are you in the group video?)" if error.errno == errno.EACCES else ""
            yield Webcam(name, stable, [], f"it cannot be opened: {error.strerror}{hint}")
            continue
        if modes is not None:
            yield Webcam(name, stable, modes)


def _find_stable_path(path: Path, devices: Path) -> Path:
    """The link that udev names after the webcam, else after its socket, else the path itself."""
    for folder in ("by-id", "by-path"):
        for link in sorted((devices / "v4l" / folder).glob("*")):
            if link.resolve() == path.resolve():
                return link
    return path


def _describe(webcam: Webcam) -> str:
    lines = [webcam.name, f"  CAMERA={webcam.path}"]
    for form, modes in groupby(webcam.modes, lambda mode: mode.format):
        lines += [
            f"  {form:<5} {mode.size:<10} {mode.rates and f'{mode.rates} a second'}"
            for mode in modes
        ]
    if webcam.problem:
        lines.append(f"  {webcam.problem}")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def to_printable(name: str) -> str:
    """A name without control characters: the camera itself chooses it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "", name).strip()
