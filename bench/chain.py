"""End to end: the faces a second that the whole chain holds, and the time at half of them.

Run: `python -m bench.chain`; `--full` for longer steps and more of them. Ready-made faces come out
of detectors (bench/ready.py: all of each runs, outbox included, but camera, search and encoding),
as one box with some cameras has them, and go by the edge broker, the forwarder, the cloud broker
(bench/cloud.py: as in its image, with TLS and rights) and one processor into a store that takes
them at once; receipts come back. All of it shares this machine. A rate holds when the detectors
capture what is offered, and what waits in their outboxes comes down again and again. Each step
begins with new detectors and ends when each face has its receipt; then each must be one object, or
the bench fails.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cloud import Cloud, Identities
from bench.memory import Peaks
from bench.parts import DEVICE, Feed
from bench.rates import search
from bench.report import Figure, tell
from bench.step import Step
from bench.usage import Usage
from bench.wire import PUBLISH, Session
from common.mqtt.broker import Broker
from demo.__main__ import CLIP
from testing.mqtt.mosquitto import Mosquitto
from testing.services.process import Service

MEBI = 1024 * 1024
FIRST = 500.0  # faces a second that are tried first
KB = 20.0
SETTLE = 3.0  # seconds of a step before those that are measured
LOOK = 0.5  # seconds between looks at the books, which cost a detector 2 ms each
HOPELESS = 1.5  # seconds' worth of faces that wait: the rate does not hold
DRAIN_WITHIN = 60.0  # seconds
TARGET_MIB = {"detector": 250.0, "forwarder": 80.0, "processor": 80.0}
COUNTS = ("captured", "confirmed", "resent", "waiting")
CAPTURED = re.compile(rb"face_(\d+)_")  # in the key that a receipt tells: unix milliseconds
# What the image's configuration logs, and not all that a test may want to see.
QUIET = "log_type none\nlog_type error\nlog_type warning\nlog_type information"


class Ear:
    """Use in `with`: hears receipts at the edge broker, and how long after capture they come."""

    def __init__(self, port: int) -> None:
        self.times: list[float] = []  # seconds, to the millisecond that keys know
        self._session = Session(Broker("edge", "127.0.0.1", port), "ear")
        self._session.subscribe([f"faces/receipts/{DEVICE}"], 0)
        self._session.sock.settimeout(LOOK)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def _listen(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                for kind, head in self._session.packets():
                    captured = CAPTURED.search(head)
                    if kind & 0xF0 == PUBLISH and captured:
                        self.times.append(time.time() - int(captured[1]) / 1000)

    def __enter__(self) -> Ear:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._session.sock.close()


class Chain:
    """Use in `with`; all of it but the detectors, of which each step has its own."""

    def __init__(self, folder: Path, cameras: int) -> None:
        self._folder, self._cameras = folder, cameras
        identities = Identities(folder, [DEVICE])
        self.cloud = Cloud(identities, 1, 0)
        self._edge = Mosquitto(folder / "edge", QUIET)
        self._forwarder = Service(
            "forwarder",
            DEVICE=DEVICE,
            MQTT_PORT=self._edge.port,
            CLOUD_HOST="localhost",
            CLOUD_PORT=self.cloud.broker.port,
            CLOUD_TOPIC=f"faces/from/{DEVICE}",
            CLOUD_BUNDLE=identities.bundles[DEVICE],
        )
        self.captured = 0  # by all detectors of all steps
        self._steps = 0
        self.peaks: dict[str, int] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Chain:
        with contextlib.ExitStack() as stack:
            for part in (self.cloud, self._edge, self._forwarder):
                stack.enter_context(part)
            for side in ("edge", "cloud"):
                self._forwarder.says(f"{side} broker .*: connected")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def step(self, offered: float, seconds: float, listen: bool = False) -> Step:
        """Offer so many faces a second, and see all of them off."""
        self._steps += 1
        with contextlib.ExitStack() as stack:
            detectors = list(self._detectors(stack, offered, seconds))
            ear = stack.enter_context(Ear(self._edge.port)) if listen else None
            pids = {f"detector {n}": d.pid for n, d in enumerate(detectors, 1)}
            pids |= {"edge broker": self._edge.pid, "forwarder": self._forwarder.pid}
            pids |= self.cloud.pids
            with Peaks(pids, every=0.5) as memory:
                for detector in detectors:
                    detector.comes_to(30, captured=1)
                time.sleep(SETTLE)
                step = self._measured(detectors, pids, offered, seconds)
            self.captured += _ended(detectors)
            for name, peak in memory.peaks.items():
                self.peaks[name] = max(peak, self.peaks.get(name, 0))
        step = dataclasses.replace(step, times=ear.times if ear else [])
        print(step, flush=True)
        return step

    def _detectors(
        self, stack: contextlib.ExitStack, offered: float, seconds: float
    ) -> Iterator[Feed]:
        for number in range(self._cameras):
            yield stack.enter_context(
                Feed(
                    "bench.load.ready",
                    DEVICE=DEVICE,
                    CAMERA=CLIP,
                    CAMERA_NAME=f"camera-{number}",
                    CAMERA_END="idle",
                    MQTT_PORT=self._edge.port,
                    OUTBOX_PATH=self._folder / f"outbox-{self._steps}",  # books outlive detectors
                    DELIVERY="receipt",
                    BENCH_KB=KB,
                    BENCH_RATE=offered / self._cameras,
                    BENCH_FACES=round(offered * (SETTLE + seconds + 1) / self._cameras),
                )
            )

    def _measured(
        self, detectors: list[Feed], pids: dict[str, int], offered: float, seconds: float
    ) -> Step:
        usage, before = Usage.now(pids), _books(detectors)
        waiting: list[int] = []
        in_hand = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(LOOK)
            waiting.append(_books(detectors)["waiting"])
            in_hand = max(in_hand, self.cloud.count("faces_in_hand"))
            if waiting[-1] > HOPELESS * offered and len(waiting) > 4:
                break
        books, usage = _books(detectors), Usage.now(pids).since(usage)
        captured, confirmed, resent = (books[name] - before[name] for name in COUNTS[:3])
        return Step(offered, captured, confirmed, resent, waiting, in_hand, usage, [])


def _books(detectors: list[Feed]) -> dict[str, int]:
    """Of all of them together."""
    all_books = [detector.books() for detector in detectors]
    return {name: sum(books[name] for books in all_books) for name in COUNTS}


def _ended(detectors: list[Feed]) -> int:
    """How many faces they captured; once none of them waits for a receipt."""
    deadline = time.monotonic() + DRAIN_WITHIN
    while (books := _books(detectors))["waiting"] or not _still(detectors):
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {DRAIN_WITHIN:.0f} s there are still faces waiting: {books}")
        time.sleep(LOOK)
    return books["captured"]


def _still(detectors: list[Feed]) -> bool:
    """Whether their cameras have no more faces."""
    return all(detector.metric("facepipe_detector_camera_ended") for detector in detectors)


def figures(chain: Chain, best: Step, beyond: Step, half: Step) -> list[Figure]:
    parts = ("detector", "edge broker", "forwarder", "broker", "log filter", "processor", "store")
    objects = chain.cloud.sink.stats()["objects"]
    return [
        Figure("faces a second that hold", min(best.offered, best.stored), "1/s"),
        Figure("frame to receipt at half of them, median", half.ms(0.5), "ms"),
        Figure("frame to receipt at half of them, p99", half.ms(0.99), "ms"),
        *(Figure(f"CPU per face, {part}", 1e6 * best.cpu(part), "us") for part in parts),
        *(
            Figure(f"peak memory, {part}", _peak(chain, part), "MiB", TARGET_MIB.get(part))
            for part in ("detector", "edge broker", "forwarder", "broker", "processor")
        ),
        Figure("beyond them, all cores used", 100 * beyond.usage.busy, "%"),
        Figure("beyond them, used by others, of a core", 100 * beyond.usage.others, "%"),
        Figure("faces captured", chain.captured, ""),
        Figure("lost", max(0, chain.captured - objects), "", 0),
        Figure("objects too many", max(0, objects - chain.captured), "", 0),
    ]


def _peak(chain: Chain, part: str) -> float:
    return max(peak for name, peak in chain.peaks.items() if name.startswith(part)) / MEBI


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chain", description=__doc__)
    parser.add_argument("--full", action="store_true", help="longer steps, and more of them")
    parser.add_argument("--cameras", type=int, default=1, help="detectors, one of each")
    options = parser.parse_args()
    seconds, tries = (15.0, 8) if options.full else (5.0, 5)
    with tempfile.TemporaryDirectory() as folder, Chain(Path(folder), options.cameras) as chain:
        best, beyond = search(lambda rate: chain.step(rate, seconds), FIRST, tries)
        half = chain.step(best.offered / 2, 2 * seconds, listen=True)
        told = figures(chain, best, beyond or best, half)
    tell("chain", told)
    if beyond is not None:
        print(beyond.gives_in(1))
    return 0 if all(figure.holds is not False for figure in told) else 1


if __name__ == "__main__":
    sys.exit(main())
