"""docker-compose.csi.yml: the sensor's container, with recorded pictures in the sensor's place."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.network import rtsp
from testing.network.mjpeg import Mjpeg
from testing.network.rtsp import Rtsp
from testing.services.detector import balance, books, books_of, write_cameras
from testing.services.process import ROOT
from tests.containers.compose import Project
from tests.containers.confinement import assert_confined, assert_unprivileged
from tests.containers.engine import BASE
from tests.containers.stack import KNOWS_OUTSIDE, OUTSIDE, Stack

FILE = ROOT / "docker-compose.csi.yml"
DEVICE = "jetson-csi"
FRAMES = 60  # of the clip, in each of which a face is in view
RECORDED = (
    "multifilesrc location=/frames/%03d.jpg loop=true caps=image/jpeg,framerate=20/1"
    " ! identity sync=true ! jpegdec"
)


class Sensor(Project):
    """A Jetson whose sensor is a folder of JPEGs, without NVIDIA's runtime and base."""

    def __init__(self, folder: Path, **env: str) -> None:
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
            {"services": {"forwarder": KNOWS_OUTSIDE, "detector": KNOWS_OUTSIDE, "csi": csi}},
            CSI_BASE=BASE,
            CSI_SOURCE=RECORDED,
            CSI_ENCODER="jpegenc",
            **env,
        )
        self.name = "facepipe-test-csi"

    def command(self) -> list[str]:
        *own, additions = super().command()
        return [*own[:-1], "--file", str(FILE), "--file", additions]


@contextlib.contextmanager
def running(stack: Stack, project: Sensor) -> Iterator[Sensor]:
    """With an identity of the stack's server."""
    bundle = stack.enrol(DEVICE)
    shutil.copytree(bundle.parents[1], project.home, dirs_exist_ok=True)
    project("build", "csi", timeout=600)
    try:
        project.up()
        yield project
    finally:
        print(project("logs", "--no-color", code=None))
        project.down()


@pytest.fixture
def jetson(stack: Stack, tmp_path: Path) -> Iterator[Sensor]:
    with running(stack, Sensor(tmp_path)) as project:
        yield project


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


def test_a_clip_a_stream_a_web_camera_and_the_sensor_are_cameras_of_one_detector(
    stack: Stack, tmp_path: Path
) -> None:
    """Each camera's faces are in the bucket under its own name, and its books balance."""
    seen = clips.faces(FRAMES)
    clips.write(tmp_path / "clip.avi", seen * 10, fourcc="MJPG")
    anywhere = "0.0.0.0"  # containers reach it, too
    with (
        Rtsp(rtsp.clip(tmp_path / "clip.avi"), host=anywhere) as stream,
        Mjpeg(seen, fps=10, host=anywhere) as web,
    ):
        tables: dict[str, dict[str, object]] = {
            "clip": {"source": "/media/clip.mp4", "loop": True, "fps": 5},
            "stream": {"source": f"rtsp://{OUTSIDE}:{stream.port}/cam"},
            "web": {"source": f"http://{OUTSIDE}:{web.port}/video"},
            "sensor": {"source": "tcp://csi:5000"},
        }
        media = {"MEDIA_DIR": str(ROOT / "demo"), "CSI_CAMERA": ""}
        cameras = str(write_cameras(tmp_path, tables))
        more = {"DETECTOR_MEMORY": "700m", "DETECTOR_PIDS": "128"}
        with running(stack, Sensor(tmp_path, CAMERAS=cameras, **media, **more)) as jetson:
            for name in tables:
                here = f"{DEVICE}/{name}/"
                until(lambda: stack.store.objects(here), 90, f"faces of {name} are in the bucket")  # noqa: B023 - called at once
            detector = jetson.one("detector")
            for name in tables:
                found = books_of(detector, name)
                assert found["captured"], name
                assert balance(found), (name, found)
