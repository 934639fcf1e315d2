"""Figures with their targets: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).with_name("results.json")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number; `target` is the most that it should be, or the least, by `sense`.

    A name such as "1080p: frame to object" has its subject in front: tables have a column of it.
    """

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

    @property
    def verdict(self) -> str:
        return {None: "", True: "holds", False: "MISSED"}[self.holds]

    @property
    def wanted(self) -> str:
        """The target in words; empty without one."""
        if self.target is None:
            return ""
        return f"{with_unit(number(self.target), self.unit)} {self.sense}"

    def line(self, width: int = 0) -> str:
        """The figure on one line, its name in a column of so many characters at least."""
        value = f"{number(self.value):>10} {self.unit:<6}"
        return f"{self.name:<{width}} {value} {self.wanted:<20} {self.verdict}".rstrip()


def number(value: float) -> str:
    """Three digits that say something, and all of those before the point."""
    whole = value == round(value) or abs(value) >= 100
    return f"{round(value):,}" if whole else f"{value:.3g}"


def with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}".rstrip()


def exit_code(figures: list[Figure]) -> int:
    """1 if a target is missed, else 0."""
    return int(any(figure.holds is False for figure in figures))


def tell(bench: str, figures: list[Figure]) -> None:
    """Print the table, and keep the figures in results.json under the bench's name."""
    print(f"\n{bench}: {platform.machine()}, {os.cpu_count()} processors")
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        print(figure.line(width))
    keep(bench, figures)


def keep(bench: str, figures: list[Figure]) -> None:
    """Put the figures into results.json, in place of those that the bench had there."""
    results = kept()
    results["machine"] = machine()
    results["benches"][bench] = [{**dataclasses.asdict(f), "holds": f.holds} for f in figures]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def kept() -> dict[str, Any]:
    """What results.json holds: the `machine`, and `benches` with the figures of each."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {"machine": machine(), "benches": {}, **results}


def figures_of(bench: str) -> list[Figure]:
    """The figures that a bench has in results.json; none if it has not run."""
    names = {field.name for field in dataclasses.fields(Figure)}
    return [
        Figure(**{name: value for name, value in one.items() if name in names})
        for one in kept()["benches"].get(bench, [])
    ]


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on: they are compared with nothing measured elsewhere."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "architecture": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "model": found[1] if found else None,
        "memory_gib": round(memory / 1024**3),
        "python": platform.python_version(),
    }
