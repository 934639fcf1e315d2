"""docker-compose.csi.yml: the sensor's container, with recorded pictures in the sensor's place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.services.detector import balance, books
from testing.services.process import ROOT
from tests.containers.compose import Project
from tests.containers.confinement import assert_confined, assert_unprivileged
from tests.containers.engine import BASE
from tests.containers.stack import KNOWS_OUTSIDE, Stack

FILE = ROOT / "docker-compose.csi.yml"
DEVICE = "jetson-csi"
FRAMES = 60  # of the clip, in each of which a face is in view
RECORDED = (
    "multifilesrc location=/frames/%03d.jpg loop=true caps=image/jpeg,framerate=20/1"
    " ! identity sync=true ! jpegdec"
)


class Sensor(Project):
    """A Jetson whose sensor is a folder of JPEGs, without NVIDIA's runtime and base."""

    def __init__(self, folder: Path) -> None:
        frames = folder / "frames"
        frames.mkdir()
        for index, image in enumerate(clips.faces(FRAMES)):
            cv2.imwrite(str(frames / f"{index:03}.jpg"), image)
        socket = folder / "socket"
        socket.touch()
        volumes = [
            {"type": "bind", "source": str(socket), "target": "/tmp/argus_socket"},
            {"type": "bind", "source": str(frames), "target": "/frames", "read_only": True},
        ]
        csi = {
            "build": {"context": str(ROOT)},  # not the folder in place of the repository
            "pull_policy": "missing",
            "runtime": "runc",
            "volumes": volumes,
        }
        super().__init__(
            "jetson",
            folder,
            {"services": {"forwarder": KNOWS_OUTSIDE, "csi": csi}},
            CSI_BASE=BASE,
            CSI_SOURCE=RECORDED,
            CSI_ENCODER="jpegenc",
        )
        self.name = "facepipe-test-csi"

    def command(self) -> list[str]:
        *own, additions = super().command()
        return [*own[:-1], "--file", str(FILE), "--file", additions]


@pytest.fixture
def jetson(stack: Stack, tmp_path: Path) -> Iterator[Sensor]:
    project = Sensor(tmp_path)
    bundle = stack.enrol(DEVICE)
    shutil.copytree(bundle.parents[1], project.home, dirs_exist_ok=True)
    project("build", "csi", timeout=600)
    try:
        project.up()
        yield project
    finally:
        print(project("logs", "--no-color", code=None))
        project.down()


def test_what_the_sensor_sees_arrives_as_faces_in_the_bucket(stack: Stack, jetson: Sensor) -> None:
    """And the container has no more rights than the others."""
    until(lambda: len(stack.store.objects(f"{DEVICE}/")) > 2, 60, "faces are in the bucket")
    assert balance(books(jetson.one("detector")))
    sensor = jetson.one("csi")
    assert_confined(sensor)
    assert_unprivileged(sensor)
    assert "/dev" not in {mount["Destination"] for mount in sensor.inspect()["Mounts"]}
    sensor.kill()
    sensor.becomes_healthy()
    before = books(jetson.one("detector"))["captured"]
    until(lambda: books(jetson.one("detector"))["captured"] > before, 60, "faces after a restart")
