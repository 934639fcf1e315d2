"""What one camera does to the others of the same detector: nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.network.mjpeg import Mjpeg
from testing.services.detector import Tables, children, frames_of, gone, serve_cameras
from testing.services.process import Service

NAMES = ("a", "b", "c")
SKIPPED = "facepipe_detector_frames_skipped_total"


@pytest.fixture
def camera() -> Iterator[Mjpeg]:
    with Mjpeg(clips.faces(10), fps=10) as server:
        yield server


@pytest.fixture
def watching(edge: Mosquitto, tmp_path: Path, camera: Mjpeg) -> Iterator[Service]:
    tables: Tables = {name: {"source": camera.url, "timeout": 1} for name in NAMES}
    with serve_cameras(edge, tmp_path, tables) as service:
        advance(service, *NAMES)
        yield service


def advance(service: Service, *names: str) -> None:
    """Wait until each of these cameras has had more frames searched."""
    before = {name: frames_of(service, name) for name in names}
    for name in names:
        until(lambda name=name: frames_of(service, name) > before[name] + 5, 30, name)  # type: ignore[misc]


def failing(service: Service) -> list[str]:
    """The cameras that are degraded now."""
    return [name.removeprefix("camera/") for name in service.health()["reasons"]]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_capture_process_that_dies_or_hangs_is_replaced_while_the_others_go_on(
    watching: Service, number: signal.Signals
) -> None:
    first, *others = children(watching)
    os.kill(first, number)
    until(lambda: failing(watching), what="one camera is degraded")
    (hurt,) = failing(watching)
    advance(watching, *(name for name in NAMES if name != hurt))
    until(lambda: gone(first))
    advance(watching, hurt)
    until(lambda: not failing(watching))
    assert {*others} <= {*children(watching)}
    assert watching.metric("facepipe_detector_camera_failures_total") == 1


def test_one_that_floods_takes_no_more_than_its_share(
    edge: Mosquitto, tmp_path: Path, camera: Mjpeg
) -> None:
    images = clips.faces(20)
    with Mjpeg(images, fps=500) as flood:
        tables: Tables = {
            "flood": {"source": flood.url, "detect_width": 7680},
            "calm": {"source": camera.url, "capture": "best"},
        }
        with serve_cameras(edge, tmp_path, tables) as service:
            until(lambda: service.metric(SKIPPED, camera="flood") > 50, 30)
            searched, skipped = frames_of(service, "calm"), service.metric(SKIPPED, camera="calm")
            until(lambda: frames_of(service, "calm") >= searched + 50, 60)
            assert service.metric(SKIPPED, camera="calm") - skipped <= 10


def test_a_stop_ends_all_capture_processes(watching: Service) -> None:
    running = children(watching)
    assert len(running) == len(NAMES)
    assert watching.stop() == 0
    until(lambda: all(gone(pid) for pid in running))


def test_a_detector_that_is_killed_leaves_no_capture_process(watching: Service) -> None:
    running = children(watching)
    watching.kill()
    until(lambda: all(gone(pid) for pid in running))
