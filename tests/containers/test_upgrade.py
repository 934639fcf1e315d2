"""Old and new parts work together, with the settings and files of before; no face is lost.

`before` is the commit that FROM names, by its own compose files and images.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.services.process import ROOT
from tests.containers import engine
from tests.containers.compose import Project
from tests.containers.stack import DEVICE, OUTSIDE, Stack

BEFORE, NOW = "before", "latest"


@pytest.fixture(scope="module")
def trees(docker: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The repository as it was and as it is, each with its images, by their tag."""
    old: Path = tmp_path_factory.mktemp("repository") / BEFORE
    old.mkdir()
    archive = ["git", "archive", "--format=tar", os.environ["FROM"]]
    packed = subprocess.run(archive, cwd=ROOT, check=True, capture_output=True, timeout=60)
    subprocess.run(["tar", "-x"], cwd=old, check=True, input=packed.stdout, timeout=60)
    engine.have_base()
    build = ["make", "--no-print-directory", "images", f"VERSION={BEFORE}"]
    subprocess.run(build, cwd=old, check=True, capture_output=True, timeout=1800)
    engine.make_images()
    return {BEFORE: old, NOW: ROOT}


class Mixed(Stack):
    """Both sides as they were, with all settings in `.env` and a bundle by itself."""

    def __init__(self, folder: Path, trees: dict[str, Path]) -> None:
        super().__init__(folder)
        self._trees = trees
        self.jetson.env |= {
            "DEVICE": DEVICE,
            "CLOUD_HOST": OUTSIDE,
            "CLOUD_PORT": str(self.port),
            "CLOUD_BUNDLE": str(folder / f"{DEVICE}.pem"),
            "CAMERA_LOOP": "1",
        }
        for project in self.projects:
            self._choose(project, BEFORE)

    def _choose(self, project: Project, version: str) -> None:
        side = project.file.name
        project.file = self._trees[version] / side
        (project.home / side).write_bytes(project.file.read_bytes())  # which mounts itself
        project.env["FACEPIPE_VERSION"] = version

    def enrol(self, device: str) -> Path:
        return Path(self.file(f"{device}.pem", self.cloud.enroll(device)[0]))

    def change(self, project: Project, version: str) -> None:
        """Replace one side's containers; faces go on being captured and stored."""
        self._choose(project, version)
        project.up()
        self.stores(30)

    def stores(self, count: int) -> None:
        """Wait until so many more receipts have come."""
        goal = self.books()["confirmed"] + count
        until(lambda: self.books()["confirmed"] >= goal, 90, f"{count} more faces are confirmed")


@pytest.fixture
def mixed(trees: dict[str, Path], tmp_path: Path) -> Iterator[Mixed]:
    with Mixed(tmp_path, trees) as running:
        try:
            yield running
        finally:
            running.show()


def test_each_side_may_be_upgraded_first_and_no_face_is_lost(mixed: Mixed) -> None:
    mixed.stores(10)
    for project, version in (
        (mixed.cloud, NOW),  # an old device, a new server
        (mixed.cloud, BEFORE),
        (mixed.jetson, NOW),  # a new device, an old server
        (mixed.cloud, NOW),
    ):
        mixed.change(project, version)
    mixed.plays(loop=False)
    mixed.check()
