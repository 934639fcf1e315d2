"""What a check is, and how several run in order."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Awaitable, Callable, Iterable


class Outcome(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of a check. reason: the word that logs and metrics use for it, if there is one."""

    outcome: Outcome
    sentence: str
    remedy: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Check:
    """needs: names of earlier checks that this one cannot do without."""

    name: str
    run: Callable[[], Awaitable[Finding]]
    needs: tuple[str, ...] = ()


def ok(sentence: str) -> Finding:
    return Finding(Outcome.OK, sentence)


def warn(sentence: str, remedy: str, reason: str = "") -> Finding:
    return Finding(Outcome.WARNING, sentence, remedy, reason)


def fail(sentence: str, remedy: str, reason: str = "") -> Finding:
    return Finding(Outcome.FAILED, sentence, remedy, reason)


def skip(sentence: str) -> Finding:
    return Finding(Outcome.SKIPPED, sentence)


async def run_checks(
    checks: Iterable[Check], show: Callable[[str, Finding], None]
) -> dict[str, Finding]:
    """Run the checks one after the other; `show` is called with each result at once.

    A check is skipped where one that it needs has failed or was skipped.
    """
    found: dict[str, Finding] = {}
    for check in checks:
        stood_by = {Outcome.FAILED, Outcome.SKIPPED}
        missing = [name for name in check.needs if found[name].outcome in stood_by]
        if missing:
            found[check.name] = skip(f"not possible before this is solved: {', '.join(missing)}")
        else:
            found[check.name] = await check.run()
        show(check.name, found[check.name])
    return found


def exit_code(findings: Iterable[Finding]) -> int:
    """0: all is well; 1: it works, with warnings; 2: something has failed."""
    outcomes = {finding.outcome for finding in findings}
    return 2 if Outcome.FAILED in outcomes else 1 if Outcome.WARNING in outcomes else 0
