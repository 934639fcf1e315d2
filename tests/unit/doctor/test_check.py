"""Checks run in order, and those that cannot be done without others are skipped."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from doctor import check as c
from doctor import report
from doctor.check import Check, Finding, Outcome


def run(*checks: Check) -> tuple[dict[str, Finding], list[str]]:
    """The findings, and the names in the order in which they were shown."""
    shown: list[str] = []
    found = asyncio.run(c.run_checks(checks, lambda name, _: shown.append(name)))
    return found, shown


def always(name: str, finding: Finding, *needs: str) -> Check:
    async def answer() -> Finding:
        return finding

    return Check(name, answer, needs)


def test_each_check_is_shown_in_its_turn() -> None:
    found, shown = run(always("a", c.ok("yes")), always("b", c.warn("so-so", "look")))
    assert shown == ["a", "b"]
    assert [one.outcome for one in found.values()] == [Outcome.OK, Outcome.WARNING]


def test_what_needs_a_failed_check_is_skipped_and_so_is_what_needs_that() -> None:
    failed = always("a", c.fail("no", "mend it"))
    found, _ = run(failed, always("b", c.ok("yes"), "a"), always("c", c.ok("yes"), "b"))
    assert (found["b"].outcome, found["c"].outcome) == (Outcome.SKIPPED, Outcome.SKIPPED)
    assert found["b"].sentence == "not possible before this is solved: a"


def test_a_warning_holds_nothing_up() -> None:
    found, _ = run(always("a", c.warn("so-so", "look")), always("b", c.ok("yes"), "a"))
    assert found["b"].outcome is Outcome.OK


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([c.ok("x")], 0),
        ([c.ok("x"), c.skip("x")], 0),
        ([c.ok("x"), c.warn("x", "y")], 1),
        ([c.warn("x", "y"), c.fail("x", "y"), c.ok("x")], 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst(findings: list[Finding], code: int) -> None:
    assert c.exit_code(findings) == code


def test_a_long_sentence_is_wrapped_below_itself_with_the_remedy_after_it() -> None:
    out = io.StringIO()
    table = report.Table(out)
    table.show("camera", c.fail("it does not open " * 10, "plug it in", "absent"))
    first, *rest = out.getvalue().splitlines()
    assert first.startswith("failed   camera        it does not open")
    assert rest[-1] == f"{'':23}-> plug it in"
    assert all(line.startswith(" " * 23) for line in rest)
    assert "(absent)" in out.getvalue()


def test_machines_get_every_check_and_the_exit_code() -> None:
    findings = {"a": c.ok("yes"), "b": c.fail("no", "mend it", "denied")}
    said = json.loads(report.to_json(findings))
    assert said["exit_code"] == 2
    second = {"check": "b", "outcome": "failed", "sentence": "no", "remedy": "mend it"}
    assert said["checks"][1] == {**second, "reason": "denied"}
