"""How findings are shown: as a table for people, line by line as they come, or as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import textwrap
from collections.abc import Mapping
from typing import TextIO

from doctor.check import Finding, Outcome, exit_code

# ECMA-48, section 8.3.117: green, yellow, red, grey.
_COLORS = {Outcome.OK: 32, Outcome.WARNING: 33, Outcome.FAILED: 31, Outcome.SKIPPED: 90}
_OUTCOME_WIDTH = 9
_NAME_WIDTH = 14
_SUMMARIES = (
    "Everything works.",
    "It works, with warnings.",
    "Something does not work: begin with the first line that says failed.",
)


class Table:
    """Writes a line for each finding, and its remedy below it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colored = out.isatty() and not os.environ.get("NO_COLOR")  # no-color.org
        self._width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))

    def show(self, name: str, finding: Finding) -> None:
        outcome = f"{finding.outcome:<{_OUTCOME_WIDTH}}"
        if self._colored:
            outcome = f"\x1b[{_COLORS[finding.outcome]}m{outcome}\x1b[0m"
        reason = f" ({finding.reason})" if finding.reason else ""
        lines = self._wrap(f"{finding.sentence}{reason}")
        if finding.remedy:
            lines += self._wrap(f"-> {finding.remedy}")
        indent = " " * (_OUTCOME_WIDTH + _NAME_WIDTH)
        rest = "".join(f"{indent}{line}\n" for line in lines[1:])
        self._out.write(f"{outcome}{name:<{_NAME_WIDTH}}{lines[0]}\n{rest}")
        self._out.flush()

    def _wrap(self, text: str) -> list[str]:
        width = self._width - _OUTCOME_WIDTH - _NAME_WIDTH
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    def finish(self, findings: Mapping[str, Finding]) -> None:
        self._out.write(f"\n{_SUMMARIES[exit_code(findings.values())]}\n")


def to_json(findings: Mapping[str, Finding]) -> str:
    """One object: the exit code, and each check with its outcome, sentence, remedy and reason."""
    checks = [{"check": name, **dataclasses.asdict(one)} for name, one in findings.items()]
    return json.dumps({"exit_code": exit_code(findings.values()), "checks": checks}, indent=1)
