"""What receipts cost: DELIVERY=receipt against once, side by side.

Run: `python -m bench.receipts`. The same ready-made faces go through the same parts, in turn with
one delivery and with the other, twice each. CPU time is the detector's own, all threads; the way of
a face is timed from capture to its PUT, as the processor says.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from bench.parts import Feed, Parts
from bench.report import Figure, percentile, tell
from bench.usage import cpu_seconds
from bench.witness import Stored
from testing.host.wait import until

RATE = 20.0  # faces a second: each has a commit of its own, which is the dearest way
KB = 30
WARM = 40  # faces before those that count
DONE = {"receipt": "confirmed", "once": "sent"}
TARGET_MS = 3.0


@dataclasses.dataclass
class Run:
    """What one delivery has used, over all its turns."""

    cpu: float = 0.0  # seconds
    faces: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)  # each face's way

    @property
    def cpu_ms(self) -> float:
        return 1000 * self.cpu / self.faces


def turn(delivery: str, count: int, run: Run) -> None:
    """Send faces with one delivery, through parts of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Parts(Path(folder)) as parts,
        Stored(parts.cloud.port) as stored,
        feed(parts, delivery, WARM + count) as source,
    ):
        name = DONE[delivery]
        first = source.comes_to(30, **{name: WARM})
        began, cpu = time.monotonic(), cpu_seconds(source.pid)
        # Asked twice only, since to answer costs, too.
        time.sleep(count / RATE - 1)
        last = source.books()
        run.cpu += cpu_seconds(source.pid) - cpu
        run.faces += last[name] - first[name]
        assert time.monotonic() - began > 1, "too few faces to measure anything"
        until(lambda: len(stored.seconds) >= last[name], what="all are stored")
        run.seconds += list(stored.seconds.values())[WARM:]


def feed(parts: Parts, delivery: str, faces: int) -> Feed:
    pace = {"BENCH_RATE": RATE, "BENCH_FACES": faces, "BENCH_KB": KB}
    # Straight to the broker: a proxy in Python would be timed, too.
    own = {"MQTT_PORT": parts.edge.port, "DELIVERY": delivery, "CAMERA_END": "idle"}
    return parts.detector("/dev/null", "bench.load.ready", **own, **pace)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.receipts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each of the four turns")
    count = round(parser.parse_args().seconds * RATE)
    runs = {"once": Run(), "receipt": Run()}
    for delivery in ("once", "receipt", "once", "receipt"):
        turn(delivery, count, runs[delivery])
    once, receipt = runs["once"], runs["receipt"]
    figures = [Figure("faces of each delivery, at least", min(once.faces, receipt.faces), "faces")]
    figures += [Figure(f"detector CPU per face, {d}", r.cpu_ms, "ms") for d, r in runs.items()]
    cost = receipt.cpu_ms - once.cpu_ms
    figures.append(Figure("detector CPU per face for receipts", cost, "ms", TARGET_MS))
    for label, share in (("median", 0.5), ("p99", 0.99)):
        way = {d: 1000 * percentile(r.seconds, share) for d, r in runs.items()}
        figures += [Figure(f"captured to stored, {label}, {d}", way[d], "ms") for d in way]
        added = way["receipt"] - way["once"]
        figures.append(Figure(f"time added by receipts, {label}", added, "ms"))
    tell("receipts", figures)
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
