"""What the benches report of their figures, to people, to programs and to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import plots, publish, report
from bench.report import Figure
from bench.suite import SUITE, Bench
from testing.services.process import ROOT


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Figures of tests are not those of the machine."""
    path = tmp_path / "results.json"
    monkeypatch.setattr(report, "RESULTS", path)
    return path


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("time", 4.0, "ms", 5.0), True),
        (Figure("time", 5.1, "ms", 5.0), False),
        (Figure("rate", 4.9, "1/s", 5.0, "at least"), False),
        (Figure("rate", 5.0, "1/s", 5.0, "at least"), True),
        (Figure("lost", 1, "faces", 0), False),
        (Figure("rate", 5.0, "1/s"), None),
    ],
)
def test_a_figure_holds_on_the_right_side_of_its_target(figure: Figure, holds: bool | None) -> None:
    assert figure.holds is holds


def test_each_figure_is_kept_with_its_name_unit_target_and_whether_it_holds(results: Path) -> None:
    report.tell("forwarder", [Figure("20 kB: rate", 0.7, "x", 0.9, "at least")])
    report.tell("processor", [Figure("rate", 900.0, "1/s")])
    kept = json.loads(results.read_text())
    assert kept["machine"]["processors"] >= 1
    assert kept["benches"]["forwarder"] == [
        {
            "name": "20 kB: rate",
            "value": 0.7,
            "unit": "x",
            "target": 0.9,
            "sense": "at least",
            "holds": False,
        }
    ]
    assert kept["benches"]["processor"][0]["holds"] is None


def test_a_bench_that_runs_again_replaces_its_own_figures_only() -> None:
    report.keep("a", [Figure("one", 1, "")])
    report.keep("b", [Figure("two", 2, "")])
    report.keep("a", [Figure("three", 3, "")])
    assert [figure.name for figure in report.figures_of("a")] == ["three"]
    assert [figure.name for figure in report.figures_of("b")] == ["two"]


def test_the_outcome_names_each_target_that_is_missed_and_each_bench_without_figures() -> None:
    report.keep("keepup", [Figure("bytes", 2, "x", 1), Figure("time", 1, "x", 1)])
    said = bench.outcome([b for b in SUITE if b.name == "keepup"], {"fleet": "it ended"})
    assert "1 of 2 targets hold" in said
    assert "bytes" in said
    assert "time" not in said
    assert "not measured: fleet: it ended" in said


def test_a_bench_that_breaks_is_told_with_its_exit_code() -> None:
    assert "exit code" in bench.run(
        Bench("gallery", "", 1, short=("--no-such-option",)), full=False
    )


def test_figures_of_several_subjects_stand_in_one_table() -> None:
    wide = publish.table(
        [
            Figure("once: CPU", 1.08, "ms"),
            Figure("receipt: CPU", 2.69, "ms", 2.0),
            Figure("once: time", 9, "ms"),
            Figure("receipt: time", 11, "ms"),
        ]
    )
    assert wide.splitlines() == [
        "|  | once | receipt | target |",
        "|---|---|---|---|",
        "| CPU | 1.08 ms | 2.69 ms (missed) | 2 ms at most |",
        "| time | 9 ms | 11 ms |  |",
    ]


def test_many_subjects_are_rows_and_their_target_is_the_last_one() -> None:
    long = publish.table(
        [Figure(f"{size} kB: rate", size, "x", 0.9, "at least") for size in (1, 20, 200)]
    )
    assert long.splitlines() == [
        "|  | rate |",
        "|---|---|",
        "| 1 kB | 1 x |",
        "| 20 kB | 20 x |",
        "| 200 kB | 200 x |",
        "| target | 0.9 x at least |",
    ]


def test_a_page_gets_the_figures_that_there_are_and_keeps_all_else() -> None:
    report.keep("keepup", [Figure("time", 5, "ms")])
    blocks = "<!-- figures: {} -->\n{}<!-- end -->\n"
    page = "Prose.\n" + blocks.format("keepup", "old\n") + blocks.format("fleet", "older\n")
    written = publish.page(page)
    assert "| time | 5 ms |" in written
    assert "old\n" not in written.replace("older\n", "")
    assert blocks.format("fleet", "older\n") in written
    assert publish.page(written) == written


def test_a_table_may_have_the_figures_with_one_word_only() -> None:
    report.keep("keepup", [Figure("time", 5, "ms"), Figure("time, ratio", 2, "x")])
    written = publish.page("<!-- figures: keepup, ratio -->\n<!-- end -->\n")
    assert "| time, ratio | 2 x |" in written
    assert "5 ms" not in written


def test_the_plot_of_targets_is_drawn(tmp_path: Path) -> None:
    report.keep("keepup", [Figure("time", 5, "ms", 4), Figure("lost", 0, "", 0)])
    (made,) = plots.draw(tmp_path / "plots")
    assert made.read_bytes().startswith(b"\x89PNG")


def test_each_bench_of_the_suite_has_its_place_on_the_page() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for one in SUITE:
        assert f"<!-- figures: {one.name}" in page, one.name
        assert f"bench.{one.name}" in page, one.name
