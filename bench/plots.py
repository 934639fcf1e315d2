"""Pictures of the figures in results.json, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import report
from bench.report import Figure
from bench.suite import SUITE

HOLDS, MISSED, OTHER = "#2a7f62", "#c8553d", "#9aa5b1"


def draw(folder: Path) -> list[Path]:
    """Draw what there are figures for; the files made."""
    import matplotlib as mpl  # takes a second, and a bench alone does without

    mpl.use("agg")
    import matplotlib.pyplot as plt

    folder.mkdir(exist_ok=True)
    made = []
    for name, plot in PLOTS.items():
        figure = plot(plt)
        if figure is None:
            continue
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
        plt.close(figure)
        made.append(path)
    return made


def targets(plt: Any) -> Any:
    """How much of what its target allows each figure takes: 1 is the target itself."""
    bars = [
        (f"{bench.name}: {figure.name}", share, bool(figure.holds))
        for bench in SUITE
        for figure in report.figures_of(bench.name)
        if (share := _share(figure)) is not None
    ]
    if not bars:
        return None
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.22 * len(bars)))
    labels, shares, holds = zip(*bars[::-1], strict=True)
    axes.barh(labels, shares, color=[HOLDS if ok else MISSED for ok in holds], height=0.7)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("share of what the target allows; beyond the line it is missed")
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(y=0.01)
    return figure


def _share(figure: Figure) -> float | None:
    if not figure.target or not figure.value:
        return None
    if figure.sense == "at most":
        return figure.value / figure.target
    return figure.target / figure.value


PLOTS: dict[str, Callable[[Any], Any]] = {"targets": targets}
