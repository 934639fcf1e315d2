"""What bench.fleet finds out of one cloud side, and what follows for a server."""

from __future__ import annotations

import dataclasses
import math
import os

from bench.report import Figure
from bench.step import AROUND, FULL, UPLOADS, Step

MEBI = 1024 * 1024
PARTS = ("broker", "log filter", "processor", "store", "devices")
TARGET_MIB = {"processor": 80.0}  # each of them
EACH = 10.0  # faces a second of each device
TYPICAL_MS = 50.0  # of a PUT into a bucket that is not on this machine
SIZES = (2, 4, 8, 16)  # cores of servers


@dataclasses.dataclass(frozen=True)
class Fate:
    """What became of all faces of a cloud side, when none was waiting any more."""

    captured: int
    lost: int  # with no object, or with no receipt that says so
    doubles: int  # objects beyond one for each
    resent: int
    again: int  # PUTs of an object that was there
    mismatched: int


@dataclasses.dataclass(frozen=True)
class Capacity:
    """Of one cloud side."""

    processors: int
    delay_ms: float  # of the store, for each PUT
    size: float  # bytes of a face, on average
    asked: Step  # at the contract's rate
    best: Step
    beyond: Step | None  # the least that did not hold
    half: Step
    memory: dict[str, int]  # peak bytes by part
    fate: Fate

    @property
    def name(self) -> str:
        delay = f", {self.delay_ms:g} ms a PUT" if self.delay_ms else ""
        return f"{self.processors} processor{'s' * (self.processors > 1)}{delay}"

    def figures(self) -> list[Figure]:
        best, half, fate = self.best, self.half, self.fate
        beyond = self.beyond or best
        made = [
            Figure("size of a face, mean", self.size / 1000, "kB"),
            Figure("offered at first", self.asked.offered, "1/s"),
            Figure("stored of it", min(self.asked.offered, self.asked.stored), "1/s"),
            Figure("the highest rate that holds", min(best.offered, best.stored), "1/s"),
            Figure("formula, of what holds", self._formula() / best.stored, "x"),
            Figure("captured to receipt, median", best.ms(0.5), "ms"),
            Figure("captured to receipt, p99", best.ms(0.99), "ms"),
            Figure("captured to receipt at half, median", half.ms(0.5), "ms"),
            Figure("captured to receipt at half, p99", half.ms(0.99), "ms"),
            *(Figure(f"CPU per face, {part}", 1e6 * best.cpu(part), "us") for part in PARTS),
            *(
                Figure(f"peak memory, {part}", self._peak(part), "MiB", TARGET_MIB.get(part))
                for part in PARTS
            ),
            Figure("beyond it, all cores used", 100 * beyond.usage.busy, "%"),
            Figure("beyond it, broker, of a core", 100 * beyond.busiest("broker"), "%"),
            Figure("beyond it, a processor, of a core", 100 * beyond.busiest("processor"), "%"),
            Figure("beyond it, used by others, of a core", 100 * beyond.usage.others, "%"),
            Figure("faces sent", fate.captured, ""),
            Figure("sent again", fate.resent, ""),
            Figure("stored again, under the same key", fate.again, ""),
            Figure("lost", fate.lost, "", 0),
            Figure("objects too many", fate.doubles, "", 0),
            Figure("receipts with another digest", fate.mismatched, "", 0),
        ]
        return [dataclasses.replace(f, name=f"{self.name}: {f.name}") for f in made]

    def _formula(self) -> float:
        """What `servers` would say of the cores that were left to this server."""
        cost, usage = Cost.of(self.best), self.best.usage
        left = (os.cpu_count() or 1) - usage.core(*(usage.cpu.keys() & AROUND)) - usage.others
        puts = self.processors * UPLOADS * 1000 / self.delay_ms if self.delay_ms else math.inf
        return min(cost.rate(left), self.processors * FULL / cost.processor, puts)

    def _peak(self, part: str) -> float:
        return max(peak for name, peak in self.memory.items() if name.startswith(part)) / MEBI

    @property
    def gives_in(self) -> str:
        """Which part gives in first, and by what that is seen."""
        if self.beyond is None:
            return f"held {self.best.offered:,.0f} faces/s, the most that was tried"
        return self.beyond.gives_in(self.processors)


@dataclasses.dataclass(frozen=True)
class Cost:
    """CPU seconds per face, and what follows: faces a second = cores / (all that a face takes)."""

    broker: float
    log: float
    processor: float

    @classmethod
    def of(cls, step: Step) -> Cost:
        return cls(step.cpu("broker"), step.cpu("log filter"), step.cpu("processor"))

    def rate(self, cores: float) -> float:
        """What so many cores carry, and one broker, which is one process on one core."""
        return min(cores / (self.broker + self.log + self.processor), 1 / self.broker)

    def processors(self, rate: float, put_ms: float) -> int:
        """As many as have the cores, one each at most, and the PUTs under way for a rate."""
        by_cores = rate * self.processor / FULL
        by_puts = rate * put_ms / 1000 / UPLOADS
        return math.ceil(max(by_cores, by_puts))


def servers(cost: Cost) -> list[Figure]:
    """What a server of so many cores carries."""
    figures = []
    for cores in SIZES:
        rate = cost.rate(cores)
        figures += [
            Figure(f"{cores} cores: faces a second", rate, "1/s"),
            Figure(f"{cores} cores: devices at {EACH:g} a second", int(rate / EACH), ""),
            Figure(f"{cores} cores: processors", cost.processors(rate, 0), ""),
            Figure(
                f"{cores} cores: processors at {TYPICAL_MS:g} ms a PUT",
                cost.processors(rate, TYPICAL_MS),
                "",
            ),
        ]
    return figures
