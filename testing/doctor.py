"""The doctor, as somebody would run it, and what it finds."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

from testing.host.wallclock import inherited
from testing.services.process import ROOT


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Of each check: its outcome, sentence, remedy and reason."""

    code: int
    checks: dict[str, dict[str, str]]

    def outcomes(self, *outcomes: str) -> set[str]:
        """The names of the checks that ended in one of these ways."""
        return {name for name, found in self.checks.items() if found["outcome"] in outcomes}

    def says(self, check: str, outcome: str, *words: str, reason: str = "") -> None:
        """Assert how a check ended, and what its sentence and remedy have in them."""
        found = self.checks[check]
        assert (found["outcome"], found["reason"]) == (outcome, reason), found
        text = f"{found['sentence']} {found['remedy']}"
        assert [word for word in words if word not in text] == [], found


def run_doctor(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run it with these settings and none of this machine's."""
    env = {"PATH": "/nowhere", **inherited()}  # where there is no Docker
    env |= {name: str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "doctor", *words]
    return subprocess.run(
        command, cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=120
    )


def diagnose(side: str, *words: str, **settings: object) -> Diagnosis:
    """What it finds, by its JSON."""
    done = run_doctor(side, "--json", *words, **settings)
    assert not done.stderr, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return Diagnosis(done.returncode, {one.pop("check"): one for one in report["checks"]})
