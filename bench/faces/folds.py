"""Choosing without fooling ourselves: thresholds chosen on some clips, reported on the others.

Clips of one source stay together: those of one person, one film or one place are alike, and a
threshold that fits one fits the others.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Sequence

from bench.faces import clips, variants
from bench.faces.data import Clip, say
from bench.faces.engines import Engine

# What confirms a face, times the detector's own thresholds.
FACTORS = (0.9, 0.95, 1.0, 1.05, 1.1)
JUNK = 2.0  # visits missed that one shot of no face is worth, when thresholds are chosen
RESAMPLES = 2000
BASE = "as they are"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one clip as one kind of variant."""

    source: str
    kind: str
    tally: clips.Tally


Maker = Callable[[float], Engine]


def source(name: str) -> str:
    """The source that a clip's name tells: its first word; of `intel` and `face` two words."""
    match = re.match(r"(?:(?:intel|face)_)?[A-Za-z]+", name)
    return match.group() if match else name


def split(sources: Sequence[str], count: int) -> dict[str, int]:
    """The part, 0 to `count` - 1, of each source, so that parts have about as many clips."""
    sizes = {name: sources.count(name) for name in sources}
    filled = [0] * count
    parts = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        part = filled.index(min(filled))
        parts[name] = part
        filled[part] += sizes[name]
    return parts


def look(engine: Engine, found: Sequence[Clip], kinds: Sequence[str]) -> list[Outcome]:
    """Every clip as it is, and as each kind of variant."""
    outcomes = []
    for kind in (BASE, *kinds):
        for clip in found:
            made = [clip] if kind == BASE else variants.make(kind, clip)
            for one in made:
                tally = clips.run([engine], [one], None)[engine.name]
                outcomes.append(Outcome(source(clip.name), kind, tally))
    return outcomes


def run(makers: dict[str, Maker], found: Sequence[Clip], kinds: Sequence[str], count: int) -> str:
    """A table: visits missed by each engine, with its thresholds chosen on the other parts."""
    parts = split([source(clip.name) for clip in found], count)
    for name, part in parts.items():
        say(f"part {part + 1} of {count}: {name}")
    rows: dict[str, list[str]] = {kind: [] for kind in (BASE, *kinds, "all", "no faces")}
    for name, make in makers.items():
        factors = FACTORS if name != "plain" else (1.0,)
        by_factor = {factor: look(make(factor), found, kinds) for factor in factors}
        chosen = {part: _best(by_factor, parts, part) for part in range(count)}
        say(f"{name}: times its thresholds, by part: {[chosen[p] for p in range(count)]}")
        held_out = [
            one for p in range(count) for one in by_factor[chosen[p]] if parts[one.source] == p
        ]
        for kind in (BASE, *kinds):
            rows[kind].append(missed([one for one in held_out if one.kind == kind]))
        rows["all"].append(missed(held_out))
        shots = sum(one.tally.shots for one in held_out)
        rows["no faces"].append(f"{sum(one.tally.not_faces for one in held_out)} of {shots}")
    lines = [["visits missed", *makers], *([kind, *cells] for kind, cells in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def missed(outcomes: Sequence[Outcome]) -> str:
    """`3 of 40 (1 to 7)`: visits missed, with the interval that holds 95 % of resamples."""
    tallies = [(one.source, one.tally.missed, one.tally.visits) for one in outcomes]
    low, high = interval(tallies)
    total = sum(visits for _, _, visits in tallies)
    return f"{sum(gone for _, gone, _ in tallies)} of {total} ({low:.0f} to {high:.0f})"


def interval(tallies: Sequence[tuple[str, int, int]]) -> tuple[float, float]:
    """The visits missed in 95 % of resamples of the clips (source, missed, visits), each resample
    brought to as many visits as there are.

    Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics, 1979.
    """
    counted = [(gone, visits) for _, gone, visits in tallies if visits]
    if not counted:
        return 0.0, 0.0
    total = sum(visits for _, visits in counted)
    draw = random.Random(1)
    means = []
    for _ in range(RESAMPLES):
        sample = draw.choices(counted, k=len(counted))
        means.append(total * sum(g for g, _ in sample) / sum(v for _, v in sample))
    means.sort()
    return means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]


def _best(by_factor: dict[float, list[Outcome]], parts: dict[str, int], part: int) -> float:
    """The factor that costs least on the other parts; of equals, the one nearest to 1."""

    def cost(factor: float) -> tuple[float, float]:
        others = [one.tally for one in by_factor[factor] if parts[one.source] != part]
        missed_visits = sum(tally.missed for tally in others)
        return missed_visits + JUNK * sum(t.not_faces for t in others), abs(factor - 1)

    return min(by_factor, key=cost)
