"""The processor beside the SDK alone and beside obstore, at a store that takes its time or none.

Run: `python -m bench.processor`. The whole processor, with its default settings, takes faces from a
real broker and puts them into a store that costs next to nothing; the others put the same faces
into the same store, from as many threads, with no MQTT around them. They take turns. At half the
rate that it reaches, a face is timed from its PUBLISH to its receipt.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.load import puts
from bench.load.feeder import Fed, feed
from bench.load.puts import Done
from bench.load.sink import Sink
from bench.measure import Meter, ratio
from bench.report import Figure, exit_code, tell
from common.settings import iterate_specs
from processor.settings import ProcessorSettings
from testing.mqtt.mosquitto import Mosquitto
from testing.services.process import Service

KB = 25
WINDOW = 100  # faces under way: several for each upload, and far from what HAND_MAX_MB refuses
DELAYS = (0, 50)  # milliseconds that the store takes
UPLOADS = int(dict(iterate_specs(ProcessorSettings))["uploads"].default)
RIVALS = {"sdk": "the SDK alone", "obstore": "obstore alone"}
SHARE, RATE = 0.95, 2000.0  # targets: of the SDK's rate at 50 ms, and a second at 0 ms


@dataclasses.dataclass
class Parts:
    """The processor at work."""

    broker: Mosquitto
    sink: Sink
    service: Service
    peak: float = 0.0  # MiB

    def feed(self, seconds: float, rate: float = 0.0, meter: Meter | None = None) -> Fed:
        """Faces for so long; all must be stored and answered, once."""
        fed = feed(
            meter,
            port=self.broker.port,
            hear_port=self.broker.port,
            hear_topic="faces/receipts/+",
            kb=KB,
            window=0 if rate else WINDOW,
            rate=rate,
            seconds=seconds,
        )
        if fed.heard != fed.sent or fed.doubles:
            raise RuntimeError(
                f"of {fed.sent} faces {fed.heard} were answered; {fed.doubles} twice"
            )
        return fed

    def turn(self, seconds: float) -> Done:
        before, used = self.sink.stats(), Meter({"processor": self.service.pid})
        fed = self.feed(seconds, meter=used)
        after = self.sink.stats()
        self.peak = max(self.peak, used.peak("processor"))
        for count in ("puts", "objects"):
            if after[count] - before[count] != fed.sent:
                raise RuntimeError(f"{fed.sent} faces made {after[count] - before[count]} {count}")
        return Done(fed.sent, fed.seconds, used.cpu["processor"])


@contextlib.contextmanager
def parts(delay: float) -> Iterator[Parts]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Mosquitto(Path(folder)) as broker,
        Sink(delay) as sink,
        Service("processor", MQTT_PORT=broker.port, **sink.settings) as service,
    ):
        service.says("cloud broker .*: connected")
        yield Parts(broker, sink, service)


def measured(delay: float, rounds: int, seconds: float) -> list[Figure]:
    turns: dict[str, list[Done]] = {way: [] for way in ("processor", *RIVALS)}
    with parts(delay) as made:
        made.feed(1.0)  # until each thread has its connection
        for _ in range(rounds):
            turns["processor"].append(made.turn(seconds))
            for way in RIVALS:
                turns[way].append(puts.measure(way, made.sink.endpoint, UPLOADS, seconds, KB))
        half = made.feed(seconds, rate=statistics.median(t.rate for t in turns["processor"]) / 2)
    subject = f"a store of {delay:.0f} ms"
    figures = list(_figures(turns, delay))
    figures += [
        Figure("PUBLISH to receipt at half that rate, median", half.median, "ms"),
        Figure("PUBLISH to receipt at half that rate, p99", half.p99, "ms"),
        Figure("peak memory (PSS)", made.peak, "MiB"),
    ]
    return [dataclasses.replace(f, name=f"{subject}: {f.name}") for f in figures]


def _figures(turns: dict[str, list[Done]], delay: float) -> Iterator[Figure]:
    own = turns["processor"]
    target = None if delay else RATE
    rate = statistics.median(turn.rate for turn in own)
    yield Figure("faces a second", rate, "", target, "at least")
    yield Figure("CPU per face", statistics.median(turn.cpu_us for turn in own), "us")
    for way, name in RIVALS.items():
        rival = turns[way]
        yield Figure(f"{name}, a second", statistics.median(turn.rate for turn in rival), "")
        yield Figure(f"{name}, CPU each", statistics.median(turn.cpu_us for turn in rival), "us")
        least = SHARE if way == "sdk" and delay else None
        times = ratio((t.rate for t in own), (t.rate for t in rival))
        yield Figure(f"rate, times {name}", times, "x", least, "at least")
        share = ratio((t.cpu_us for t in own), (t.cpu_us for t in rival))
        yield Figure(f"CPU, times {name}", share, "x")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.processor", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--full", action="store_true", help="9 rounds of 10 s")
    told = parser.parse_args()
    rounds, seconds = (9, 10.0) if told.full else (told.rounds, told.seconds)
    figures = [figure for delay in DELAYS for figure in measured(delay, rounds, seconds)]
    tell("processor", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
