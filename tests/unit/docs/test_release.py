"""What a release runs, as far as it goes without a registry."""

from __future__ import annotations

import re
import subprocess

import pytest

from common import __version__
from testing.services.process import ROOT


def run(*command: str, code: int = 0) -> tuple[str, str]:
    """What it prints, and what it says on stderr."""
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    notes, _ = run(".ci/release-notes", "Unreleased")
    changelog = (ROOT / "CHANGELOG.md").read_text()
    section = changelog.split("## [Unreleased]\n")[1].split("\n## [")[0]
    assert notes.strip() == section.strip()


def test_a_version_without_notes_is_not_released() -> None:
    _, said = run(".ci/release-notes", "99.0.0", code=2)
    assert "CHANGELOG.md has no section for 99.0.0" in said


def test_a_tag_that_is_not_the_codes_version_is_not_released() -> None:
    _, said = run(".ci/release", "registry.example.com/x", "99.0.0", code=2)
    assert f"99.0.0, and that of common/__init__.py is {__version__}" in said


def test_the_compose_files_can_pull_every_image_that_a_release_pushes() -> None:
    pushed = run("make", "--no-print-directory", "list-images")[0].split()
    pulled = set()
    for side in ("jetson", "cloud"):
        text = (ROOT / f"docker-compose.{side}.yml").read_text()
        image = r"image: \$\{FACEPIPE_REGISTRY:-facepipe\}/(\w+):\$\{FACEPIPE_VERSION:-latest\}\n"
        pulled |= {*re.findall(image, text)}
        assert len(re.findall(r"^ +image:", text, re.MULTILINE)) == len(re.findall(image, text))
    assert pulled == {*pushed}


@pytest.mark.parametrize("script", ["release", "release-notes"])
def test_without_its_arguments_a_script_says_how_it_is_called(script: str) -> None:
    _, said = run(f".ci/{script}", code=2)
    assert f"usage: .ci/{script} " in said
