"""Figures with their targets: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from pathlib import Path
from typing import Literal

RESULTS = Path(__file__).with_name("results.json")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number; `target` is the most that it should be, or the least, by `sense`."""

    name: str
    value: float
    unit: str
    target: float | None = None
    sense: Literal["at most", "at least"] = "at most"

    @property
    def holds(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.sense == "at most" else self.value >= self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"{self.target:g} {self.unit} {self.sense}"
        verdict = {None: "", True: "holds", False: "MISSED"}[self.holds]
        value = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:.4g}"
        return f"{self.name:<48} {value:>10} {self.unit:<6} {target:<20} {verdict}".rstrip()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def tell(bench: str, figures: list[Figure]) -> None:
    """Print the table, and keep the figures in results.json under the bench's name."""
    print(f"\n{bench}: {platform.machine()}, {os.cpu_count()} processors")
    for figure in figures:
        print(figure)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[bench] = [{**dataclasses.asdict(f), "holds": f.holds} for f in figures]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
