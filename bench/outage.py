"""An outage of hours, played fast: the outbox fills while the link is cut, then it drains.

Run: `python -m bench.outage` (8 hours at a face a second), or with `--faces 3000`. Ready-made faces
fill the outbox as fast as the disk takes them; then a detector with a camera, a face a second, is
started on it, and the link comes back. What the drain is compared with: the same pipeline, given
faces as fast as it stores them while its outbox stays nearly empty. The two take turns, since what
else the machine does at the time changes both.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from bench import camera
from bench.memory import Peaks
from bench.parts import Feed, Parts
from bench.report import Figure, tell
from bench.usage import cpu_seconds

MEBI = 1024 * 1024
KB = 30
MAX_MB = 4000  # of outbox; the reader of files stops at half of it
TURNS = 4  # parts of the drain, each after a run with a nearly empty outbox
UNDISTURBED = 1500  # faces of such a run, at most
NEARLY_EMPTY = 64  # faces waiting, twice the window: enough to keep it full
TARGET_MB, SHARE, TARGET_FIRST = 250.0, 0.9, 35.0
WITHIN = 3600.0  # seconds for anything


def ready(parts: Parts, folder: str, faces: int, waiting: int) -> Feed:
    pace = {"BENCH_FACES": faces, "BENCH_KB": KB, "BENCH_WAITING": waiting}
    own = {"OUTBOX_PATH": parts.folder / folder, "OUTBOX_MAX_MB": MAX_MB, "CAMERA_END": "idle"}
    return parts.detector("/dev/null", "bench.ready", **own, **pace)


@dataclasses.dataclass
class Pace:
    """How fast faces were confirmed, over all turns."""

    faces: int = 0
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of the detector

    def measure(self, feed: Feed, until: int) -> dict[str, int]:
        """From a tenth of the way until `until` are confirmed; the books then."""
        books = feed.comes_to(WITHIN, confirmed=1)
        start = books["confirmed"] + (until - books["confirmed"]) // 10
        first = feed.comes_to(WITHIN, confirmed=start)["confirmed"]
        began, cpu = time.monotonic(), cpu_seconds(feed.pid)
        books = feed.comes_to(WITHIN, confirmed=until)
        self.faces += books["confirmed"] - first
        self.seconds += time.monotonic() - began
        self.cpu += cpu_seconds(feed.pid) - cpu
        return books

    @property
    def rate(self) -> float:
        return self.faces / self.seconds

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu / self.faces


def undisturbed(parts: Parts, turn: int, faces: int, pace: Pace) -> None:
    """A run with a nearly empty outbox, of its own."""
    with ready(parts, f"outbox-{turn}", faces, NEARLY_EMPTY) as feed:
        pace.measure(feed, faces)
        feed.stop()


def fill(parts: Parts, faces: int) -> tuple[float, float]:
    """Fill the outbox while the link is cut: faces a second, and MiB at the peak."""
    with ready(parts, "outbox", faces, 0) as feed, Peaks({"detector": feed.pid}) as memory:
        feed.comes_to(60, captured=1)
        began = time.monotonic()
        feed.comes_to(WITHIN, captured=faces)
        took = time.monotonic() - began
        feed.stop()
    return faces / took, memory.peaks["detector"] / MEBI


@dataclasses.dataclass
class Drain:
    """What was seen of the detector with a camera and a full outbox."""

    pace: Pace = dataclasses.field(default_factory=Pace)
    start: float = 0.0  # seconds until the first frame was searched, with the whole outbox
    first: float = 0.0  # seconds from the link's return to the first object
    peak: int = 0  # bytes
    captured: int = 0
    seconds: float = 0.0
    books: dict[str, int] = dataclasses.field(default_factory=dict)

    def turn(self, parts: Parts, clip: Path, until: int) -> None:
        """Start the detector, let the link come back, and drain until so many are confirmed."""
        parts.wan.refuse()
        own = {"CAMERA_LOOP": "1", "MIN_FACE": "0.4", "OUTBOX_MAX_MB": str(MAX_MB)}
        had = self.books
        started = time.monotonic()
        with parts.detector(clip, **own) as feed, Peaks({"detector": feed.pid}) as memory:
            before = feed.comes_to(60, captured=had["captured"] + 1)
            self.start = self.start or time.monotonic() - started
            parts.wan.mode = "pass"
            back = time.monotonic()
            feed.comes_to(WITHIN, confirmed=had["confirmed"] + 1)
            self.first = max(self.first, time.monotonic() - back)
            self.books = self.pace.measure(feed, until)
            self.captured += self.books["captured"] - before["captured"]
            self.seconds += time.monotonic() - back
            feed.stop()
        self.peak = max(self.peak, memory.peaks["detector"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.outage", description=__doc__)
    parser.add_argument("--faces", type=int, default=8 * 3600, help="in the outbox (28800)")
    faces = parser.parse_args().faces
    usual, drained = Pace(), Drain(books={"captured": faces, "confirmed": 0})
    with tempfile.TemporaryDirectory() as folder, Parts(Path(folder)) as parts:
        clip = camera.close(Path(folder), fps=1.0, seed=1, frames=20)
        parts.wan.refuse()
        filled, peak = fill(parts, faces)
        for turn in range(TURNS):
            parts.wan.mode = "pass"
            undisturbed(parts, turn, min(faces // TURNS, UNDISTURBED), usual)
            drained.turn(parts, clip, faces * (turn + 1) // TURNS)
    figures = [
        Figure("faces in the outbox", faces, "faces"),
        Figure("kept without a link", filled, "/s"),
        Figure("peak memory while it fills", peak, "MiB", TARGET_MB),
        Figure("start with this outbox, to the first face", drained.start, "s"),
        Figure("first object after the link came back", drained.first, "s", TARGET_FIRST),
        Figure("peak memory while it drains", drained.peak / MEBI, "MiB", TARGET_MB),
        Figure("captured meanwhile", drained.captured / drained.seconds, "/s"),
        Figure("dropped", drained.books["dropped"], "faces", 0),
        Figure("detector CPU per face, draining", drained.pace.cpu_ms, "ms"),
        Figure("detector CPU per face, outbox nearly empty", usual.cpu_ms, "ms"),
        Figure("drain", drained.pace.rate, "/s"),
        Figure("outbox nearly empty", usual.rate, "/s"),
        Figure("the one by the other", drained.pace.rate / usual.rate, "", SHARE, "at least"),
    ]
    tell("outage", figures)
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
