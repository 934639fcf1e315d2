"""Figures with their targets: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number; `target` is the most that it should be, or None."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def holds(self) -> bool | None:
        return None if self.target is None else self.value <= self.target

    def __str__(self) -> str:
        target = "" if self.target is None else f"{self.target:g} {self.unit} at most"
        verdict = {None: "", True: "holds", False: "MISSED"}[self.holds]
        return f"{self.name:<48} {self.value:>10.4g} {self.unit:<6} {target:<18} {verdict}"


def tell(bench: str, figures: list[Figure]) -> None:
    """Print the table, and keep the figures in results.json under the bench's name."""
    print(f"\n{bench}: {platform.machine()}, {os.cpu_count()} processors")
    for figure in figures:
        print(figure)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[bench] = [{**dataclasses.asdict(f), "holds": f.holds} for f in figures]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
