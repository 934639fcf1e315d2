"""What bench.fleet finds out: steps of load, what they cost, and what follows for a server."""

from __future__ import annotations

import dataclasses
import math

from bench.device import Books, Times
from bench.rates import GROWTH, growth
from bench.report import Figure, percentile
from bench.usage import Usage
from common.settings import specs
from processor.settings import Settings

MEBI = 1024 * 1024
FULL = 0.9  # of a core, or of what may be in hand at the store: there is no more in it
SIZES = (2, 4, 8, 16)  # cores of servers
UPLOADS = next(spec.default for name, spec in specs(Settings) if name == "uploads")

RESENT = 0.01  # of what is captured: more of it, and the time-outs are what moves the faces


@dataclasses.dataclass(frozen=True)
class Step:
    """What came of a rate offered, in faces a second."""

    offered: float
    seconds: float
    captured: int
    confirmed: int
    resent: int
    growth: float  # of what waits for receipts, faces a second
    in_hand: int  # of all processors, the most that was seen
    usage: Usage
    times: Times

    @classmethod
    def of(
        cls,
        offered: float,
        before: Books,
        after: Books,
        waiting: list[tuple[float, int]],
        usage: Usage,
        in_hand: int,
        times: Times,
    ) -> Step:
        return cls(
            offered,
            usage.seconds,
            after.captured - before.captured,
            after.confirmed - before.confirmed,
            after.resent - before.resent,
            growth(waiting),
            in_hand,
            usage,
            times,
        )

    @property
    def stored(self) -> float:
        """Faces a second that got their receipt."""
        return self.confirmed / self.seconds

    @property
    def held(self) -> bool:
        return self.growth <= GROWTH * self.offered and self.resent <= RESENT * self.captured

    def cpu(self, part: str) -> float:
        """Seconds of CPU per face, of all parts whose names begin so."""
        return sum(s for n, s in self.usage.cpu.items() if n.startswith(part)) / self.confirmed

    def busiest(self, part: str) -> float:
        """The share of a core that the busiest of these parts used."""
        return max(self.usage.core(name) for name in self.usage.cpu if name.startswith(part))

    def ms(self, share: float) -> float:
        """Milliseconds from the first sending of a face to its receipt."""
        return 1000 * percentile(self.times.from_sending, share)

    def __str__(self) -> str:
        verdict = "holds" if self.held else "does not hold"
        return (
            f"{self.offered:7,.0f} faces/s: {verdict}; stored {self.stored:,.0f}/s, waiting grows"
            f" {self.growth:.0f}/s, sent again {self.resent}, in hand {self.in_hand}, receipt after"
            f" {self.ms(0.5):.0f} ms; cores: machine {self.usage.busy:.2f} each, broker"
            f" {self.busiest('broker'):.2f}, processor {self.busiest('processor'):.2f}, devices"
            f" {self.busiest('devices'):.2f}, others {self.usage.others:.2f}"
        )


@dataclasses.dataclass(frozen=True)
class Fate:
    """What became of all faces of a cloud side, when none was waiting any more."""

    captured: int
    lost: int  # with no object, or with no receipt
    doubles: int  # objects and receipts beyond one for each
    resent: int
    puts: int
    mismatched: int


@dataclasses.dataclass(frozen=True)
class Capacity:
    """Of one cloud side."""

    processors: int
    asked: Step  # at the contract's rate
    best: Step
    beyond: Step | None  # the least that did not hold
    half: Step
    memory: dict[str, int]  # peak bytes by part
    fate: Fate

    @property
    def name(self) -> str:
        return f"{self.processors} processor{'s' * (self.processors > 1)}"

    def figures(self) -> list[Figure]:
        best, half, fate = self.best, self.half, self.fate
        beyond = self.beyond or best
        made = [
            Figure("offered at first", self.asked.offered, "1/s"),
            Figure("stored of it", self.asked.stored, "1/s"),
            Figure("the highest rate that holds", best.stored, "1/s"),
            Figure("to receipt, median", best.ms(0.5), "ms"),
            Figure("to receipt, p99", best.ms(0.99), "ms"),
            Figure("to receipt at half of it, median", half.ms(0.5), "ms"),
            Figure("to receipt at half of it, p99", half.ms(0.99), "ms"),
            *(
                Figure(f"CPU per face, {part}", 1e6 * best.cpu(part), "us")
                for part in ("broker", "log filter", "processor", "store", "devices")
            ),
            Figure("peak memory, broker", self._peak("broker"), "MiB"),
            Figure("peak memory, a processor", self._peak("processor"), "MiB", 80.0),
            Figure("beyond it: all cores used", 100 * beyond.usage.busy, "%"),
            Figure("beyond it: broker, of a core", 100 * beyond.busiest("broker"), "%"),
            Figure("beyond it: a processor, of a core", 100 * beyond.busiest("processor"), "%"),
            Figure("beyond it: used by others, of a core", 100 * beyond.usage.others, "%"),
            Figure("faces sent", fate.captured, ""),
            Figure("sent again", fate.resent, ""),
            Figure("lost", fate.lost, "", 0),
            Figure("objects or receipts too many", fate.doubles, "", 0),
            Figure("receipts with another digest", fate.mismatched, "", 0),
        ]
        return [dataclasses.replace(f, name=f"{self.name}: {f.name}") for f in made]

    def _peak(self, part: str) -> float:
        return max(peak for name, peak in self.memory.items() if name.startswith(part)) / MEBI

    @property
    def gives_in(self) -> str:
        """Which part gives in first, and by what that is seen."""
        step = self.beyond
        if step is None:
            return f"held {self.best.offered:,.0f} faces/s, the most that was tried"
        usage = step.usage
        own = usage.core("devices", "store") + usage.others
        at = f"at {step.offered:,.0f} faces/s"
        for part in ("broker", "processor"):
            if step.busiest(part) >= FULL:
                return f"{at} a {part} gives in: {step.busiest(part):.2f} of its one core"
        if usage.busy >= FULL:
            return (
                f"{at} this machine gives in: its cores are used to {usage.busy:.0%},"
                f" {own:.2f} of them by devices, store and others"
            )
        if step.in_hand >= FULL * UPLOADS * self.processors:
            return f"{at} the store gives in: {step.in_hand} faces in hand wait for its answers"
        return f"{at} no part is full: what waits grows by {step.growth:.0f} faces/s"


def servers(found: list[Capacity], delay_ms: float) -> list[Figure]:
    """What a server of so many cores carries, by what a face has cost here.

    faces/s = cores / (broker + its log + processor), CPU seconds per face; but no more than one
    broker does on its one core.
    """
    step = found[0].best
    broker, log, processor = (step.cpu(part) for part in ("broker", "log filter", "processor"))
    one = min(FULL / processor, UPLOADS * 1000 / delay_ms if delay_ms else math.inf)
    figures = []
    for cores in SIZES:
        rate = min(cores / (broker + log + processor), 1 / broker)
        figures += [
            Figure(f"{cores} cores: faces a second", rate, "1/s"),
            Figure(f"{cores} cores: devices at 10 a second", int(rate / 10), ""),
            Figure(f"{cores} cores: processors", math.ceil(rate / one), ""),
        ]
    return figures
