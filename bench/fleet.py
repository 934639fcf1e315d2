"""A hundred devices at ten faces a second each into one cloud side of 1, 2 and 4 processors.

Run: `python -m bench.fleet`; `--full` for longer steps and more of them; `--delay-ms 50` for a
store that takes its time. The devices are one process (bench/devices.py), with real connections,
identities and faces; the cloud side is the product's, its broker configured as in its image
(bench/cloud.py). All of it shares this machine; what devices and store use of it is told, and is
not the server's. After the contract's rate, the highest one is searched that holds: what waits for
receipts comes down again and again. In the end each face must be one object and have its receipt,
or the bench fails.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sys
import tempfile
import time
from pathlib import Path

from bench.capacity import EACH, TYPICAL_MS, Capacity, Cost, Fate, servers
from bench.cloud import Cloud, Identities
from bench.devices import Devices
from bench.faces import data
from bench.memory import Peaks
from bench.portraits import close_ups, portraits
from bench.rates import search
from bench.report import tell
from bench.step import Step
from bench.usage import Usage
from common.protocol.face import Face
from common.settings import read
from detector.settings import DetectorSettings

PICTURES = 64  # different ones, in turn
SETTLE = 2.0  # seconds of a step before those that are measured
LOOK = 0.25  # seconds between looks at the books
HOPELESS = 1.5  # seconds' worth of faces that wait: the rate does not hold
DRAIN_WITHIN = 60.0  # seconds
ID = re.compile(r"_([0-9a-f]{32})\.png$")


class Load:
    """The devices, and what they come to."""

    def __init__(self, cloud: Cloud, devices: Devices, count: int, seconds: float) -> None:
        self._cloud, self._devices = cloud, devices
        self._count, self._seconds = count, seconds
        self.pids = {**cloud.pids, "devices": devices.pid}

    def step(self, offered: float) -> Step:
        """Offer so many faces a second; then none, until none waits."""
        self._devices.ask("rate", offered / self._count)
        time.sleep(SETTLE)
        usage, (before, _) = Usage.now(self.pids), self._devices.ask("books")
        waiting: list[int] = []
        in_hand = 0
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            time.sleep(LOOK)
            books, waits = self._devices.ask("books")
            waiting.append(waits)
            if len(waiting) % 4 == 0:  # to be asked costs a processor something
                in_hand = max(in_hand, self._cloud.count("faces_in_hand"))
            if waits > HOPELESS * offered and len(waiting) > 8:
                break
        books, _ = self._devices.ask("books")
        usage = Usage.now(self.pids).since(usage)
        step = Step(
            offered,
            books.captured - before.captured,
            books.confirmed - before.confirmed,
            books.resent - before.resent,
            waiting,
            in_hand,
            usage,
            self._devices.ask("times"),
        )
        self._drain()
        print(step, flush=True)
        return step

    def _drain(self) -> None:
        self._devices.ask("rate", 0.0)
        deadline = time.monotonic() + DRAIN_WITHIN
        while waiting := self._devices.ask("books")[1]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{waiting} faces have no receipt after {DRAIN_WITHIN:.0f} s")
            time.sleep(LOOK)

    def fate(self) -> Fate:
        """What has become of all faces."""
        confirmed = {id for ids in self._devices.ask("confirmed").values() for id in ids}
        puts = self._cloud.sink.keys()
        stored = set(map(_id, puts))
        books, _ = self._devices.ask("books")
        return Fate(
            captured=books.captured,
            lost=books.captured - len(confirmed & stored),
            doubles=len(puts) - len(stored),
            resent=books.resent,
            again=sum(puts.values()) - len(puts),
            mismatched=books.mismatched,
        )


def _id(key: str) -> str:
    match = ID.search(key)
    return match[1] if match else key


def measure(
    identities: Identities, faces: list[Face], processors: int, delay_ms: float, full: bool
) -> Capacity:
    """One cloud side, from the contract's rate to the highest that holds, and at half of it."""
    seconds, tries = (15.0, 8) if full else (5.0, 5)
    window = read(DetectorSettings, {}).outbox_window
    count = len(identities.bundles)
    steps: list[Step] = []
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(Cloud(identities, processors, delay_ms))
        devices = Devices(cloud.broker.port, identities.bundles, faces, window)
        load = Load(cloud, stack.enter_context(devices), count, seconds)
        memory = stack.enter_context(Peaks(load.pids, every=0.5))

        def step(offered: float) -> Step:
            steps.append(load.step(offered))
            return steps[-1]

        best, beyond = search(step, EACH * count, tries)
        half = load.step(best.offered / 2)
        size = sum(len(face.png) for face in faces) / len(faces)
        return Capacity(
            processors, delay_ms, size, steps[0], best, beyond, half, memory.peaks, load.fate()
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--full", action="store_true", help="longer steps, and more of them")
    parser.add_argument("--data", type=Path, default=data.DEFAULT, help="default: %(default)s")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--processors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument(
        "--delay-ms", type=float, nargs="+", help="of the store, for each PUT; default: 0"
    )
    parser.add_argument("--stills", action="store_true", help="larger faces, out of pictures")
    options = parser.parse_args()
    delays = options.delay_ms or ([0.0, TYPICAL_MS] if options.full else [0.0])
    faces = (close_ups if options.stills else portraits)(options.data, PICTURES)
    names = [f"device-{number:03}" for number in range(options.devices)]
    found: list[Capacity] = []
    with tempfile.TemporaryDirectory() as folder:
        identities = Identities(Path(folder), names)
        for delay, processors in itertools.product(delays, options.processors):
            print(f"\nprocessors: {processors}; a PUT takes {delay:g} ms", flush=True)
            found.append(measure(identities, faces, processors, delay, options.full))
    figures = [figure for one in found for figure in one.figures()]
    tell("fleet", figures)
    for one in found:
        print(f"{one.name}: {one.gives_in}")
    tell("server", servers(Cost.of(found[0].best)))
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
