"""docker-compose.webcams.yml: video devices whenever they come, and no other device."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testing.services.process import ROOT
from tests.containers.engine import docker

VIDEO, OTHER = 81, 99  # majors: video4linux's, and one without a driver
FORBIDDEN = "Operation not permitted"
NO_DRIVER = "No such device"  # it was allowed, and the kernel has no such webcam

pytestmark = [
    pytest.mark.usefixtures("images"),
    pytest.mark.skipif(os.geteuid() != 0, reason="device nodes take root"),
]


@contextlib.contextmanager
def node(major: int) -> Iterator[Path]:
    """A device node that appears on this machine, for everyone, and disappears again."""
    path = Path(f"/dev/facepipe-test-{major}")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, 77))
    path.chmod(0o666)
    try:
        yield path
    finally:
        path.unlink()


@pytest.fixture
def container() -> Iterator[str]:
    """The detector's image with what the compose files give its container."""
    services = [
        yaml.safe_load((ROOT / f"docker-compose.{name}.yml").read_text())["services"]["detector"]
        for name in ("jetson", "webcams")
    ]
    assert (services[0]["read_only"], services[0]["cap_drop"]) == (True, ["ALL"])
    words = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    words += [f"--device-cgroup-rule={rule}" for rule in services[1]["device_cgroup_rules"]]
    words += [f"--volume={bind}" for bind in services[1]["volumes"]]
    words += ["--device=/dev/null:/dev/null", "--entrypoint=sleep"]
    id = docker("run", "--detach", *words, "facepipe/detector", "300").strip()
    try:
        yield id
    finally:
        docker("rm", "--force", id)


def test_a_webcam_that_comes_later_may_be_used_and_no_other_device(container: str) -> None:
    with node(VIDEO) as webcam, node(OTHER) as other:
        assert NO_DRIVER in docker("exec", container, "head", "-c1", str(webcam), code=1)
        assert FORBIDDEN in docker("exec", container, "head", "-c1", str(other), code=1)
    assert "No such file" in docker("exec", container, "head", "-c1", str(webcam), code=1)


def test_not_even_root_in_the_container_may_use_another_device(container: str) -> None:
    with node(OTHER) as other:
        said = docker("exec", "--user=0", container, "head", "-c1", str(other), code=1)
        assert FORBIDDEN in said


def test_nothing_can_be_written_to_the_folder_of_devices(container: str) -> None:
    said = docker("exec", container, "touch", "/dev/new", code=1)
    assert "Read-only file system" in said
    assert docker("exec", container, "ls", "/dev/shm") == ""
