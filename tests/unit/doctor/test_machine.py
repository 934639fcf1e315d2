"""What the doctor finds out about the machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from doctor import machine
from doctor.check import Outcome


def install(folder: Path, engine: str, compose: str) -> None:
    """A `docker` that prints these versions; with an empty one, that command fails."""
    script = folder / "docker"
    script.write_text(
        "#!/bin/sh\n"
        f'case $1 in version) said="{engine}" ;; compose) said="{compose}" ;; esac\n'
        'test -n "$said" && echo "$said"\n'
    )
    script.chmod(0o755)


@pytest.mark.parametrize(
    ("engine", "compose", "outcome", "words"),
    [
        ("28.2.2", "5.6.1", Outcome.OK, "Docker 28.2.2, Compose 5.6.1"),
        ("20.10.10", "v2.5.0", Outcome.OK, "Docker 20.10.10"),
        ("20.10.7", "2.24.0", Outcome.FAILED, "20.10.10 and 2.5 are needed"),
        ("28.2.2", "1.29.2", Outcome.FAILED, "are needed"),
        ("", "2.24.0", Outcome.WARNING, "does not answer"),
        ("28.2.2", "", Outcome.WARNING, "has no Compose"),
    ],
)
def test_versions_of_docker_and_compose(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    compose: str,
    outcome: Outcome,
    words: str,
) -> None:
    install(tmp_path, engine, compose)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = asyncio.run(machine.check_docker())
    assert found.outcome is outcome, found
    assert words in found.sentence


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(0.2, Outcome.OK), (-59, Outcome.OK), (61, Outcome.WARNING), (-3600, Outcome.FAILED)],
)
def test_a_clock_may_be_off_by_a_minute(seconds: float, outcome: Outcome) -> None:
    found = machine.judge_clock(seconds, "the server's")
    assert found.outcome is outcome
    assert outcome is Outcome.OK or ("ahead of" in found.sentence) == (seconds > 0)


def test_a_folder_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    found = asyncio.run(machine.check_disk(str(tmp_path / "none"), "the outbox", 1))
    assert found.outcome is Outcome.FAILED
    assert "the outbox" in found.sentence
