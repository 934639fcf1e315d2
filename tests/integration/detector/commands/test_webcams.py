"""`python -m detector --cameras`: webcams with a stand-in for their driver."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testing.services.detector import run
from testing.services.process import ROOT

DRIVER = ROOT / "testing" / "host" / "webcam.c"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("driver") / "webcam.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(path), str(DRIVER), "-ldl"], check=True)
    return path


class Machine:
    """A machine's video nodes: the kernel's list of them, and their device files."""

    def __init__(self, folder: Path, driver: Path) -> None:
        self.nodes, self.devices = folder / "sys", folder / "dev"
        self._driver = driver
        self.nodes.mkdir()
        self.devices.mkdir()

    def plug(self, number: int, name: str, kind: str, link: str = "") -> Path:
        """A node; for its kinds see webcam.c."""
        node = self.nodes / f"video{number}"
        node.mkdir()
        (node / "name").write_text(f"{name}\n")
        path = self.devices / node.name
        path.write_text(kind)
        if link:
            stable = self.devices / "v4l" / link
            stable.parent.mkdir(parents=True, exist_ok=True)
            stable.symlink_to(path)
        return path

    def print(self) -> str:
        code = (
            "import sys; from pathlib import Path;"
            "from detector.commands.webcams import print_webcams;"
            "print_webcams(*map(Path, sys.argv[1:]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(self.nodes), str(self.devices)],
            env={**os.environ, "LD_PRELOAD": str(self._driver)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path, driver: Path) -> Machine:
    return Machine(tmp_path, driver)


def test_a_webcam_is_listed_with_its_stable_path_and_its_modes(machine: Machine) -> None:
    machine.plug(0, "HD Pro Webcam C920", "D", "by-id/usb-046d_C920_1234-video-index0")
    machine.plug(1, "HD Pro Webcam C920", "M", "by-id/usb-046d_C920_1234-video-index1")
    assert machine.print() == (
        "HD Pro Webcam C920\n"
        f"  CAMERA={machine.devices}/v4l/by-id/usb-046d_C920_1234-video-index0\n"
        "  YUYV  640x480    30, 7.5 a second\n"
        "  MJPG  640x480    30, 7.5 a second\n"
        "  MJPG  1920x1080  30 a second\n"
    )


def test_webcams_come_by_number_and_twins_by_their_socket(machine: Machine) -> None:
    machine.plug(10, "ten", "D")
    machine.plug(2, "twin", "D", "by-path/pci-0-usb-2-video-index0")
    machine.plug(0, "twin", "D", "by-id/usb-twin-video-index0")
    lines = [line for line in machine.print().splitlines() if "CAMERA=" in line]
    assert lines == [
        f"  CAMERA={machine.devices}/v4l/by-id/usb-twin-video-index0",
        f"  CAMERA={machine.devices}/v4l/by-path/pci-0-usb-2-video-index0",
        f"  CAMERA={machine.devices}/video10",
    ]


def test_a_range_of_sizes_is_listed_as_one(machine: Machine) -> None:
    machine.plug(0, "loopback", "S")
    assert "  YUYV  32x16 to 1920x1080 1 to 60 a second\n" in machine.print()


def test_a_node_that_does_not_answer_is_listed_with_the_reason(machine: Machine) -> None:
    path = machine.plug(0, "evil\x1b[31m", "D")
    path.write_text("")  # an ordinary file
    said = machine.print()
    assert said.startswith("evil[31m\n")
    assert "it cannot be opened: Inappropriate ioctl for device" in said


def test_a_node_without_its_device_file_is_left_out(machine: Machine) -> None:
    machine.plug(0, "unplugged", "D").unlink()
    assert machine.print().startswith("No webcam was found on this machine.")


def test_the_command_works_whatever_the_settings_are() -> None:
    done = run("--cameras", CAMERA="/gone.mp4")
    assert done.returncode == 0, done.stderr
    assert "CAMERA=" in done.stdout or done.stdout.startswith("No webcam")
    assert "--cameras" in run("--help").stdout
