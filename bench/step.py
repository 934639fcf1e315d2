"""One rate offered for some seconds: whether it holds, what it costs, and what gives in."""

from __future__ import annotations

import dataclasses

from bench.report import percentile
from bench.usage import Usage
from common.settings import iterate_specs
from processor.settings import ProcessorSettings

BACKLOG = 0.2  # seconds' worth of faces that may wait at the best moment of the end
OFFERED = 0.97  # of it must have been captured: else who makes the faces is the limit
RESENT = 0.01  # of what is captured: with more, the time-outs are what moves the faces
FULL = 0.85  # of a core, or of the PUTs that may be under way: there is no more in it
OTHERS = 0.25  # cores that are not ours to use: figures are of a machine that is quiet
UPLOADS = int(
    next(spec.default for name, spec in iterate_specs(ProcessorSettings) if name == "uploads")
)
AROUND = {"devices", "store", "bench"}  # parts that are no server's


@dataclasses.dataclass(frozen=True)
class Step:
    """What came of it. `waiting`: faces without receipt, at each look."""

    offered: float  # faces a second
    captured: int
    confirmed: int
    resent: int
    waiting: list[int]
    in_hand: int  # of all processors, the most that was seen
    usage: Usage
    times: list[float]  # seconds to the receipt, of each face

    @property
    def stored(self) -> float:
        """Faces a second that got their receipt."""
        return self.confirmed / self.usage.seconds

    @property
    def backlog(self) -> float:
        """Seconds' worth of faces that wait, at the best moment of the last third.

        At a rate that holds, what waits comes down again after each hold-up; else it grows on.
        """
        return min(self.waiting[-max(1, len(self.waiting) // 3) :]) / self.offered

    @property
    def came(self) -> bool:
        """Whether what was offered was captured."""
        return self.captured >= OFFERED * self.offered * self.usage.seconds

    @property
    def held(self) -> bool:
        return self.came and self.backlog <= BACKLOG and self.resent <= RESENT * self.captured

    @property
    def disturbed(self) -> bool:
        return self.usage.others > OTHERS

    def cpu(self, part: str) -> float:
        """Seconds of CPU per face, of all parts whose names begin so."""
        used = (s for name, s in self.usage.cpu.items() if name.startswith(part))
        return sum(used) / max(1, self.confirmed)

    def busiest(self, part: str) -> float:
        """The share of a core that the busiest of these parts used."""
        return max(self.usage.core(name) for name in self.usage.cpu if name.startswith(part))

    def ms(self, share: float) -> float:
        return 1000 * percentile(self.times, share)

    def gives_in(self, processors: int) -> str:
        """Of a step that did not hold: which part is full, and by what that is seen."""
        at = f"at {self.offered:,.0f} faces/s"
        parts = [name for name in self.usage.cpu if name not in AROUND]
        name = max(parts, key=self.usage.core)
        around = self.usage.core(*(self.usage.cpu.keys() & AROUND)) + self.usage.others
        if self.usage.core(name) >= FULL:
            return f"{at} the {name} gives in: {self.usage.core(name):.2f} of its one core"
        if self.usage.busy >= FULL:
            return (
                f"{at} this machine gives in: its cores are used to {self.usage.busy:.0%};"
                f" {around:.2f} cores by what is no part of the server"
            )
        if self.in_hand >= FULL * UPLOADS * processors:
            return f"{at} PUTs are too few: {self.in_hand} faces in hand, {UPLOADS} at a time"
        return f"{at} no part is full; there wait {self.backlog:.2f} s' worth of faces"

    def __str__(self) -> str:
        cores = ", ".join(f"{name} {self.usage.core(name):.2f}" for name in self.usage.cpu)
        return (
            f"{self.offered:7,.0f} faces/s: {'holds' if self.held else 'does not hold'}; stored"
            f" {self.stored:,.0f}/s, waiting {self.backlog:.2f} s' worth, sent again {self.resent},"
            f" in hand {self.in_hand}; cores: {cores}, others {self.usage.others:.2f}"
        )
