"""The forwarder beside Mosquitto's own bridge: the same faces between the same brokers, in turn.

Run: `python -m bench.forwarder`, or `--full` for longer turns. Each has an edge and a cloud broker
of its own (the bridge lives in its edge broker), with `set_tcp_nodelay`; both speak MQTT 5. CPU is
that of the edge side, broker included, since a bridge's cannot be told from its broker's.
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

from bench.load.feeder import feed
from bench.measure import Meter, ratio
from bench.report import Figure, exit_code, tell
from testing.mqtt.mosquitto import Mosquitto
from testing.services.forwarder import connected, forwarder
from testing.services.process import Process

SIZES = (1.0, 20.0, 200.0)  # kB
WINDOW = 32  # faces under way
# What a broker logs of each packet would be measured, too.
QUIET = "log_type none\nlog_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
BRIDGE = """connection up
address 127.0.0.1:{port}
bridge_protocol_version mqttv50
cleansession true
notifications false
try_private true
topic faces out {qos}
"""
RATE = {1.0: 1.5, 20.0: 0.9, 200.0: 0.9}  # targets, times the bridge's
TIME, CPU = 1.5, 4.0


@dataclasses.dataclass
class Way:
    """From one edge broker to its cloud broker, and who pays for it."""

    edge: Mosquitto
    cloud: Mosquitto
    relay: Process  # the edge broker itself, if that is the bridge

    @property
    def parts(self) -> set[Process]:
        """What runs at the edge."""
        return {self.edge, self.relay}


@dataclasses.dataclass
class Turns:
    """Figures of one way with one load, a turn each."""

    rate: list[float] = dataclasses.field(default_factory=list)  # faces a second
    median: list[float] = dataclasses.field(default_factory=list)  # ms
    p99: list[float] = dataclasses.field(default_factory=list)  # ms
    cpu: list[float] = dataclasses.field(default_factory=list)  # us per face, edge broker included
    own: list[float] = dataclasses.field(default_factory=list)  # us per face, the relay's process
    peak: float = 0.0  # MiB
    lost: int = 0  # faces


@contextlib.contextmanager
def ways(folder: Path, qos: int) -> Iterator[dict[str, Way]]:
    """The bridge and the forwarder, each with two brokers."""
    with contextlib.ExitStack() as stack:

        def broker(name: str, extra: str = "") -> Mosquitto:
            made: Mosquitto = stack.enter_context(Mosquitto(folder / name, QUIET + extra))
            return made

        clouds = {name: broker(f"cloud-{name}") for name in ("bridge", "forwarder")}
        bridge = broker("bridge", BRIDGE.format(port=clouds["bridge"].port, qos=qos))
        edge = broker("edge")
        relay = stack.enter_context(forwarder(edge.port, clouds["forwarder"].port, MQTT_QOS=qos))
        connected(relay)
        yield {
            "bridge": Way(bridge, clouds["bridge"], bridge),
            "forwarder": Way(edge, clouds["forwarder"], relay),
        }


def turn(way: Way, turns: Turns, kb: float, qos: int, window: int, seconds: float) -> None:
    used = Meter({str(part.pid): part.pid for part in way.parts})
    fed = feed(
        used,
        port=way.edge.port,
        devices=2 if window > 1 else 1,  # one alone may have 20 unacknowledged only
        kb=kb,
        qos=qos,
        seconds=seconds,
        window=window,
        hear_port=way.cloud.port,
        hear_topic="faces",
        hear_qos=qos,
    )
    relay = str(way.relay.pid)
    turns.lost += fed.sent - fed.heard
    turns.rate.append(fed.rate)
    turns.median.append(fed.median)
    turns.p99.append(fed.p99)
    turns.cpu.append(used.cpu_us("", fed.heard))
    turns.own.append(1e6 * used.cpu[relay] / max(1, fed.heard))
    turns.peak = max(turns.peak, used.peaks[relay])


def figures(kb: float, qos: int, window: int, runs: dict[str, Turns]) -> Iterator[Figure]:
    under_way = "one at a time" if window == 1 else f"{window} under way"
    subject = f"{kb:.0f} kB, QoS {qos}, {under_way}"
    ours, theirs = runs["forwarder"], runs["bridge"]

    def both(what: str, unit: str, values: dict[str, list[float]]) -> Iterator[Figure]:
        for name, value in values.items():
            yield Figure(f"{subject}: {what}, {name}", statistics.median(value), unit)

    if window == 1:
        for what, field in (("median", "median"), ("p99", "p99")):
            values: dict[str, list[float]] = {n: getattr(r, field) for n, r in runs.items()}
            yield from both(f"time, {what}", "ms", values)
        times = ratio(ours.median, theirs.median)
        yield Figure(f"{subject}: time, ratio", times, "x", TIME)
    else:
        yield from both("throughput", "/s", {n: r.rate for n, r in runs.items()})
        rates = ratio(ours.rate, theirs.rate)
        yield Figure(f"{subject}: throughput, ratio", rates, "x", RATE[kb], "at least")
    yield from both("CPU per face", "us", {n: r.cpu for n, r in runs.items()})
    own = statistics.median(ours.own)
    yield Figure(f"{subject}: CPU per face, forwarder without its broker", own, "us")
    yield Figure(f"{subject}: CPU, ratio", ratio(ours.cpu, theirs.cpu), "x", CPU)
    for name, run in runs.items():
        yield Figure(f"{subject}: peak memory, {name}", run.peak, "MiB")
        # A bridge has been seen to drop some, and to say so in its broker's log.
        yield Figure(f"{subject}: lost, {name}", run.lost, "", 0 if run is ours else None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.forwarder", description=__doc__)
    parser.add_argument("--full", action="store_true", help="nine turns of 4 s, not three of 1.5")
    parser.add_argument("--sizes", type=float, nargs="*", default=SIZES, help="kB")
    parser.add_argument("--qos", type=int, nargs="*", default=(0, 1))
    options = parser.parse_args()
    turns, seconds = (9, 4.0) if options.full else (3, 1.5)
    made: list[Figure] = []
    for qos in options.qos:
        with tempfile.TemporaryDirectory() as folder, ways(Path(folder), qos) as both:
            for kb in options.sizes:
                for window in (1, WINDOW):
                    runs = {name: Turns() for name in both}
                    for _ in range(turns):
                        for name, way in both.items():
                            turn(way, runs[name], kb, qos, window, seconds)
                    made += figures(kb, qos, window, runs)
    tell("forwarder", made)
    return exit_code(made)


if __name__ == "__main__":
    sys.exit(main())
