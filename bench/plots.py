"""Pictures of the figures in results.json, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import report
from bench.report import Figure
from bench.suite import SUITE

WIDEST = 4  # a bar that is longer is cut off
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
    axes.set_xlim(0, min(max(1.2, *shares), WIDEST))
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


def ratios(plt: Any) -> Any:
    """The forwarder, times the bridge, with the target of each figure as a mark."""
    facts: dict[str, list[tuple[str, Figure]]] = {}
    for figure in report.figures_of("forwarder"):
        subject, _, fact = figure.name.partition(": ")
        if fact.endswith(", ratio") and figure.target is not None:
            facts.setdefault(fact.removesuffix(", ratio"), []).append((subject, figure))
    if not facts:
        return None
    figure, panels = plt.subplots(1, len(facts), figsize=(5 * len(facts), 3.2), squeeze=False)
    for axes, (fact, bars) in zip(panels[0], facts.items(), strict=True):
        labels = [subject for subject, _ in bars]
        colours = [HOLDS if one.holds else MISSED for _, one in bars]
        axes.barh(labels, [one.value for _, one in bars], color=colours, height=0.6)
        axes.scatter([one.target for _, one in bars], labels, color="black", marker="|", s=200)
        axes.axvline(1, color=OTHER, linewidth=1, linestyle=":")
        axes.set_title(f"{fact}, times the bridge ({bars[0][1].sense} the mark)", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.invert_yaxis()
    figure.tight_layout()
    return figure


def fleet(plt: Any) -> Any:
    """What a cloud side holds by its processors, and where the CPU time of a face goes."""
    rates: dict[str, float] = {}
    costs: dict[str, dict[str, float]] = {}
    for one in report.figures_of("fleet"):
        subject, _, fact = one.name.partition(": ")
        if fact == "faces a second":
            rates[subject] = one.value
        elif fact.startswith("CPU per face, "):
            costs.setdefault(fact.removeprefix("CPU per face, "), {})[subject] = one.value
    if not rates:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    left.bar(list(rates), list(rates.values()), color=HOLDS, width=0.6)
    left.set_ylabel("faces a second")
    below = dict.fromkeys(rates, 0.0)
    for part, by_subject in costs.items():
        heights = [by_subject[subject] for subject in rates]
        right.bar(list(rates), heights, bottom=list(below.values()), width=0.6, label=part)
        below = {name: low + by_subject[name] for name, low in below.items()}
    right.set_ylabel("CPU time per face, us")
    right.legend(fontsize=7)
    figure.tight_layout()
    return figure


PLOTS: dict[str, Callable[[Any], Any]] = {"targets": targets, "forwarder": ratios, "fleet": fleet}
