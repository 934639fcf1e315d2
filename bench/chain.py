"""End to end: the faces a second of the whole chain, the time of a face, receipts, an outage.

Run: `python -m bench.chain`. Ready-made faces come out of a detector (bench/load/ready.py: all of
it runs but camera, search and encoding) and go by edge broker, forwarder, cloud broker (TLS and
rights as in its image) and one processor into a store that takes them at once; receipts come back.
So many faces wait in the outbox at most, and the next are captured when receipts come: so the rate
is the highest that the chain stores. Then half of it; then 20 a second with DELIVERY=once and
receipt in turn; then the forwarder is stopped, the outbox fills, and drains when it is back. In the
end each face must be one object. All of it shares this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.load.cloud import Cloud, Identities
from bench.measure import Meter, percentile
from bench.report import Figure, exit_code, tell
from demo.__main__ import CLIP
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import books
from testing.services.process import Service

DEVICE = "box-1"
KB = 20.0
WAITING = 256  # faces that wait for their receipt while the highest rate is measured
SLOW = 20.0  # faces a second: each has a commit of its own, which is the dearest way
TARGET_MIB = {"detector": 250.0, "forwarder": 80.0, "processor": 80.0}
CAPTURED = re.compile(rb"face_(\d+)_")  # in the key that a receipt tells: unix milliseconds
# What the image's configuration logs, and not all that a test may want to see.
QUIET = "log_type none\nlog_type error\nlog_type warning\nlog_type information"


class Chain:
    """Use in `with`; all of it but the detectors, of which each step has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        identities = Identities(folder, [DEVICE])
        self.cloud = Cloud(identities)
        self.edge = Mosquitto(folder / "edge", QUIET)
        self.forwarder = Service(
            "forwarder",
            DEVICE=DEVICE,
            MQTT_PORT=self.edge.port,
            CLOUD_HOST="localhost",
            CLOUD_PORT=self.cloud.broker.port,
            CLOUD_TOPIC=f"faces/from/{DEVICE}",
            CLOUD_BUNDLE=identities.bundles[DEVICE],
        )
        self.captured = 0.0  # by all detectors
        self._steps = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[Chain]:
        with self.cloud, self.edge, self.forwarder:
            for side in ("edge", "cloud"):
                self.forwarder.says(f"{side} broker .*: connected")
            yield self

    @contextlib.contextmanager
    def detector(self, faces: int = 10_000_000, **settings: object) -> Iterator[Service]:
        """A detector with an outbox of its own; in the end the fate of each face is known."""
        self._steps += 1
        with Service(
            "bench.load.ready",
            DEVICE=DEVICE,
            CAMERA=CLIP,
            CAMERA_END="idle",
            MQTT_PORT=self.edge.port,
            OUTBOX_PATH=self._folder / f"outbox-{self._steps}",
            BENCH_KB=KB,
            BENCH_FACES=faces,
            **{"DELIVERY": "receipt", **settings},
        ) as service:
            yield service
            until(lambda: service.metric("facepipe_detector_camera_ended"), 90, "all faces came")
            self.captured += books(service)["captured"]

    def pids(self, detector: Service) -> dict[str, int]:
        own = {"detector": detector.pid, "edge broker": self.edge.pid}
        return {**own, "forwarder": self.forwarder.pid, **self.cloud.pids}


def times(ear: Mqtt) -> list[float]:
    """Milliseconds from capture to receipt, to the millisecond that keys know."""
    offset = time.time() - time.monotonic()
    return [
        1000 * (message.at + offset) - int(found[1])
        for message in ear.messages
        if (found := CAPTURED.search(message.payload))
    ]


def highest(chain: Chain, seconds: float) -> tuple[float, list[Figure]]:
    """Faces a second that are stored when as many come as the chain takes."""
    faces = round(2000 * (seconds + 2))
    with chain.detector(faces, BENCH_RATE=0, BENCH_WAITING=WAITING) as detector:
        until(lambda: books(detector)["confirmed"] > 2 * WAITING, 60, "faces are confirmed")
        before = books(detector)["confirmed"]
        with Meter(chain.pids(detector), every=0.5) as used:
            time.sleep(seconds)
        count = round(books(detector)["confirmed"] - before)
    parts = ("detector", "edge broker", "forwarder", "broker", "log filter", "processor", "store")
    return count / used.seconds, [
        Figure("faces a second", count / used.seconds, "1/s"),
        *(Figure(f"CPU per face, {part}", used.cpu_us(part, count), "us") for part in parts),
        *(
            Figure(f"peak memory, {part}", used.peak(part), "MiB", TARGET_MIB.get(part))
            for part in ("detector", "edge broker", "forwarder", "broker", "processor")
        ),
        Figure("used by others, of a core", 100 * used.others(), "%"),
    ]


def paced(chain: Chain, rate: float, seconds: float, delivery: str) -> tuple[float, list[float]]:
    """The detector's CPU per face in ms, and the times from capture to receipt."""
    faces = round(rate * seconds)
    with (
        Mqtt(chain.edge.port, f"faces/receipts/{DEVICE}") as ear,
        chain.detector(faces, BENCH_RATE=rate, DELIVERY=delivery) as detector,
    ):
        until(lambda: books(detector)["captured"], 30, "the first face")
        with Meter({"detector": detector.pid}) as used:
            before = books(detector)["captured"]
            time.sleep(0.7 * seconds)
            count = round(books(detector)["captured"] - before)
    return used.cpu_us("detector", count) / 1000, times(ear)


def receipts(chain: Chain, seconds: float) -> list[Figure]:
    cpu: dict[str, list[float]] = {"once": [], "receipt": []}
    way: dict[str, list[float]] = {"once": [], "receipt": []}
    for delivery in ("once", "receipt", "once", "receipt"):
        spent, took = paced(chain, SLOW, seconds, delivery)
        cpu[delivery].append(spent)
        way[delivery] += took
    once, receipt = (statistics.median(cpu[name]) for name in ("once", "receipt"))
    return [
        Figure("20 a second: detector CPU per face, once", once, "ms"),
        Figure("20 a second: detector CPU per face, receipt", receipt, "ms"),
        Figure("20 a second: detector CPU per face for receipts", receipt - once, "ms", 3.0),
        *(
            Figure(f"20 a second: frame to receipt, median, {n}", percentile(way[n], 0.5), "ms")
            for n in way
        ),
    ]


def outage(chain: Chain, faces: int, rate: float) -> list[Figure]:
    """The forwarder is away until so many faces wait; how fast they drain once it is back."""
    chain.forwarder.kill()
    with chain.detector(faces, BENCH_RATE=0) as detector:
        until(lambda: books(detector)["captured"] >= faces, 120, "the outbox is full")
        chain.forwarder.start()
        began = time.monotonic()
        until(lambda: books(detector)["confirmed"], 60, "the first receipt")
        first = time.monotonic()
        until(lambda: not books(detector)["waiting"], 300, "the outbox is empty")
        drained = faces / (time.monotonic() - first)
    return [
        Figure("outage: faces that waited", faces, ""),
        Figure("outage: first receipt after it", first - began, "s", 35),
        Figure("outage: drained", drained, "1/s"),
        Figure("outage: drained, times the highest rate", drained / rate, "x", 0.9, "at least"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chain", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each step")
    parser.add_argument("--faces", type=int, default=3000, help="that wait in the outage")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Chain(Path(folder)).running() as chain:
        rate, figures = highest(chain, options.seconds)
        _, took = paced(chain, rate / 2, options.seconds, "receipt")
        for label, share in (("median", 0.5), ("p99", 0.99)):
            name = f"frame to receipt at half that rate, {label}"
            figures.append(Figure(name, percentile(took, share), "ms"))
        figures += receipts(chain, options.seconds)
        figures += outage(chain, options.faces, rate)
        objects = chain.cloud.sink.stats()["objects"]
        figures += [
            Figure("faces captured", chain.captured, ""),
            Figure("lost", max(0, chain.captured - objects), "", 0),
            Figure("objects too many", max(0, objects - chain.captured), "", 0),
        ]
    tell("chain", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
