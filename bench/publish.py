"""Put the last run's figures into the pages that tell them, and its plots into docs/plots.

Run: `python -m bench.publish`, after `make bench` on a quiet machine. What stands between
`<!-- figures: NAME -->` and `<!-- end -->` is the table of that bench, with `NAME, WORD` that of
its figures with this word in their names, and between `<!-- machine -->` and `<!-- end -->` the
machine; all else on a page is prose. A bench that did not run keeps the table that it has.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench import plots, report
from bench.report import Figure, number, with_unit

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("performance.md", "scaling.md")
BLOCK = re.compile(
    r"(<!-- (figures: (\w+)(?:, ([^>]+?))?|machine) -->\n).*?(<!-- end -->)", re.DOTALL
)


def table(figures: list[Figure]) -> str:
    """A table with a target for each figure; with one column or row per subject, if there are some.

    The subject of a figure is what stands before the colon in its name.
    """
    subjects = list(dict.fromkeys(_split(figure)[0] for figure in figures))
    facts = list(dict.fromkeys(_split(figure)[1] for figure in figures))
    by_place = {_split(figure): figure for figure in figures}
    targets = {
        fact: " / ".join(
            dict.fromkeys(f.wanted for f in figures if _split(f)[1] == fact and f.wanted)
        )
        for fact in facts
    }
    if len(subjects) > len(facts):
        rows = [["", *facts]]
        rows += [[s or "all", *(_cell(by_place.get((s, f))) for f in facts)] for s in subjects]
        rows += [["target", *targets.values()]] if any(targets.values()) else []
    else:
        aims = "target" if any(targets.values()) else None
        rows = [["", *(s or "measured" for s in subjects), *([aims] if aims else [])]]
        rows += [
            [f, *(_cell(by_place.get((s, f))) for s in subjects), *([targets[f]] if aims else [])]
            for f in facts
        ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def _split(figure: Figure) -> tuple[str, str]:
    subject, colon, fact = figure.name.partition(": ")
    return (subject, fact) if colon else ("", figure.name)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    value = with_unit(number(figure.value), figure.unit)
    return f"{value} (missed)" if figure.holds is False else value


def machine() -> str:
    facts = report.kept()["machine"]
    return (
        f"Measured on {facts['processors']} processors ({facts['model']}, {facts['architecture']}),"
        f" {facts['memory_gib']} GiB of memory, Python {facts['python']}.\n"
    )


def page(text: str) -> str:
    """The page with the figures that there are."""

    def block(found: re.Match[str]) -> str:
        head, _, name, word, end = found.groups()
        if name is None:
            return f"{head}{machine()}{end}"
        figures = [figure for figure in report.figures_of(name) if (word or "") in figure.name]
        return f"{head}{table(figures)}{end}" if figures else found[0]

    return BLOCK.sub(block, text)


def main() -> None:
    for name in PAGES:
        (DOCS / name).write_text(page((DOCS / name).read_text()))
    for plot in plots.draw(DOCS / "plots"):
        print(plot.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
