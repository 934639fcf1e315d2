"""What bench.fleet finds out of one cloud side, and what follows for a server."""

from __future__ import annotations

import dataclasses
import math

from bench.report import Figure
from bench.step import FULL, UPLOADS, Step

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
            Figure("stored of it", self.asked.stored, "1/s"),
            Figure("the highest rate that holds", min(best.offered, best.stored), "1/s"),
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

    def _peak(self, part: str) -> float:
        return max(peak for name, peak in self.memory.items() if name.startswith(part)) / MEBI

    @property
    def gives_in(self) -> str:
        """Which part gives in first, and by what that is seen."""
        if self.beyond is None:
            return f"held {self.best.offered:,.0f} faces/s, the most that was tried"
        return self.beyond.gives_in(self.processors)


def servers(step: Step) -> list[Figure]:
    """What a server of so many cores carries, by what a face has cost in this step.

    faces/s = cores / (broker + its log + processor), in CPU seconds per face; but no more than one
    broker does on its one core. Processors: as many as have cores and PUTs under way for that.
    """
    broker, log, processor = (step.cpu(part) for part in ("broker", "log filter", "processor"))
    figures = []
    for cores in SIZES:
        rate = min(cores / (broker + log + processor), 1 / broker)
        by_cores = math.ceil(rate * processor / FULL)
        by_puts = math.ceil(rate * TYPICAL_MS / 1000 / UPLOADS)
        figures += [
            Figure(f"{cores} cores: faces a second", rate, "1/s"),
            Figure(f"{cores} cores: devices at {EACH:g} a second", int(rate / EACH), ""),
            Figure(f"{cores} cores: processors", by_cores, ""),
            Figure(f"{cores} cores: at {TYPICAL_MS:g} ms a PUT", max(by_cores, by_puts), ""),
        ]
    return figures
