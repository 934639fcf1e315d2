"""A hundred devices into one cloud side of 1, 2 and 4 processors: what it carries, and its cost.

Run: `python -m bench.fleet`; `--delay-ms 50` for a store that takes its time. The devices are
connections of one process (bench/load/feeder.py), each with an identity of its own, TLS and its
own receipts; the cloud side is the product's, its broker configured as in its image. The devices
together have so many faces under way for each processor, and send the next when a receipt comes:
so the rate is the highest that the cloud side stores. Then the same at half that rate, for the
time of a face. All of it shares this machine; what devices and store use of it is told apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.load.cloud import Cloud, Identities
from bench.load.feeder import Fed, feed
from bench.measure import Meter
from bench.report import Figure, exit_code, tell
from common.settings import iterate_specs
from processor.settings import ProcessorSettings

KB = 22.0
WINDOW = 100  # faces under way for each processor
EACH = 10.0  # faces a second of a device, where the table of servers counts devices
TYPICAL_MS = 50.0  # of a PUT into a bucket that is not on this machine
FULL = 0.85  # of a core: what a processor is planned for
SIZES = (2, 4, 8, 16)  # cores of servers
SERVER = ("broker", "log filter", "processor")
UPLOADS = int(
    next(spec.default for name, spec in iterate_specs(ProcessorSettings) if name == "uploads")
)


def measure(
    identities: Identities, processors: int, delay_ms: float, seconds: float
) -> tuple[list[Figure], dict[str, float]]:
    """Figures of one cloud side, and the CPU seconds that a face takes of its parts."""
    with Cloud(identities, processors, delay_ms) as cloud:

        def send(seconds: float, meter: Meter | None = None, **pace: Any) -> Fed:
            return feed(
                meter,
                host="localhost",
                port=cloud.broker.port,
                bundle=str(identities.folder / "{device}.pem"),
                topic="faces/from/{device}",
                device="device",
                devices=len(identities.bundles),
                kb=KB,
                seconds=seconds,
                **pace,
            )

        warm = send(1.0, window=WINDOW * processors)  # until each thread has its connection
        used = Meter(cloud.pids, every=0.5)
        fed = send(seconds, used, window=WINDOW * processors)
        half = send(seconds, rate=fed.rate / 2)
        counts = cloud.sink.stats()
    sent = warm.sent + fed.sent + half.sent
    heard = warm.heard + fed.heard + half.heard
    cost = {part: used.cpu_us(part, fed.heard) for part in (*SERVER, "store")}
    cost["devices"] = 1e6 * fed.cpu / max(1, fed.heard)
    busy = sum(used.cpu.values()) + fed.cpu
    figures = [
        Figure("faces a second", fed.rate, "1/s"),
        Figure("PUBLISH to receipt at half that rate, median", half.median, "ms"),
        Figure("PUBLISH to receipt at half that rate, p99", half.p99, "ms"),
        *(Figure(f"CPU per face, {part}", us, "us") for part, us in cost.items()),
        Figure("peak memory, broker", used.peak("broker"), "MiB"),
        Figure("peak memory, a processor", used.peak("processor"), "MiB", 80),
        Figure("broker, of a core", 100 * used.core("broker"), "%"),
        Figure("a processor, of a core", 100 * used.core("processor"), "%"),
        Figure("all cores used", 100 * busy / used.seconds / (os.cpu_count() or 1), "%"),
        Figure("used by others, of a core", 100 * used.others(fed.cpu), "%"),
        Figure("faces sent", sent, ""),
        Figure("without a receipt", sent - heard, "", 0),
        Figure("without an object", max(0, sent - counts["objects"]), "", 0),
        Figure("stored again, under the same key", counts["puts"] - counts["objects"], ""),
    ]
    delay = f", {delay_ms:g} ms a PUT" if delay_ms else ""
    subject = f"{processors} processor{'s' * (processors > 1)}{delay}"
    named = [dataclasses.replace(f, name=f"{subject}: {f.name}") for f in figures]
    return named, {part: us / 1e6 for part, us in cost.items()}


def servers(cost: dict[str, float]) -> list[Figure]:
    """What a server of so many cores carries, by the CPU seconds that a face takes of its parts."""
    figures = []
    for cores in SIZES:
        # One broker is one process on one core, and so is a processor, for Python's lock.
        rate = min(cores / sum(cost[part] for part in SERVER), 1 / cost["broker"])
        by_cores = math.ceil(rate * cost["processor"] / FULL)
        by_puts = math.ceil(rate * TYPICAL_MS / 1000 / UPLOADS)
        figures += [
            Figure(f"{cores} cores: faces a second", rate, "1/s"),
            Figure(f"{cores} cores: devices at {EACH:g} a second", int(rate / EACH), ""),
            Figure(f"{cores} cores: processors", by_cores, ""),
            Figure(
                f"{cores} cores: processors at {TYPICAL_MS:g} ms a PUT", max(by_cores, by_puts), ""
            ),
        ]
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each step")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--processors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--delay-ms", type=float, nargs="+", default=[0.0], help="of each PUT")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        names = [f"device-{number}" for number in range(options.devices)]
        identities = Identities(Path(folder), names)
        for delay, processors in itertools.product(options.delay_ms, options.processors):
            found.append(measure(identities, processors, delay, options.seconds))
    figures = [figure for one, _ in found for figure in one]
    tell("fleet", figures)
    tell("server", servers(found[0][1]))
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
