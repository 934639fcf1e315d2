"""Live cameras: always at their newest frame, and back after whatever happens to them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from common.service import Service as OwnService
from common.settings import read
from detector.capture.camera import Camera
from detector.settings import DetectorSettings
from testing.clips import clips
from testing.host.wait import free_port, until, until_above
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.network.mjpeg import Mjpeg
from testing.services.detector import child, detector, facts, gone
from testing.services.process import Service

SEARCHED = "facepipe_detector_frames_total"
SKIPPED = "facepipe_detector_frames_skipped_total"
FAILURES = "facepipe_detector_camera_failures_total"


@pytest.fixture
def camera() -> Iterator[Mjpeg]:
    with Mjpeg(clips.faces(20)) as server:
        yield server


@pytest.fixture
def watching(edge: Mosquitto, camera: Mjpeg) -> Iterator[Service]:
    with detector(edge, camera.url, CAMERA_TIMEOUT=1) as service:
        service.says("delivers frames of 640x360")
        yield service


def advances(service: Service) -> None:
    """Wait until frames are searched that were not there before."""
    before = service.metric(SEARCHED)
    until(lambda: service.metric(SEARCHED) > before + 3, 30, "frames come again")


def well(service: Service) -> bool:
    return bool(service.health()["status"] == "well")


def test_a_stream_gives_faces(edge: Mosquitto, camera: Mjpeg) -> None:
    with Mqtt(edge.port, "faces") as mqtt, detector(edge, camera.url) as service:
        until(lambda: len(mqtt.messages) > 5)
        assert well(service)
        assert service.stop() == 0
    assert "frame_index" not in facts(mqtt.messages[0])


@pytest.mark.parametrize("name", ["/dev/video97", "http"])
def test_a_camera_that_is_not_there_yet_is_said_once_and_tried_again(
    edge: Mosquitto, name: str
) -> None:
    port = free_port()
    address = name if name.startswith("/") else f"http://127.0.0.1:{port}/video"
    with detector(edge, address) as service:
        until(lambda: service.metric(FAILURES) >= 2, 20, "tried twice")
        assert service.health()["reasons"]["camera"] in ("absent", "refused")
        assert service.health()["alive"]
        assert len(re.findall(r"WARNING.*camera", service.log)) == 1
        assert "Traceback" not in service.log
        if name == "http":
            with Mjpeg(clips.faces(5), port) as late:
                service.says(
                    r"delivers frames of 640x360, after \d+ s and \d+ tries|delivers frames"
                )
                until(lambda: well(service))
                assert late.connections == 1
                assert service.stop() == 0
        else:
            assert service.stop() == 0


def test_a_stall_is_noticed_and_the_hung_process_replaced(camera: Mjpeg, watching: Service) -> None:
    first = child(watching)
    assert first is not None
    camera.mode = "stall"
    watching.says(r"no frame for 1 s \(stalled\)")
    until(lambda: gone(first))
    assert watching.health()["reasons"] == {"camera": "stalled"}
    until(lambda: watching.metric(FAILURES, reason="stalled") >= 1)
    camera.mode = "play"
    advances(watching)
    until(lambda: well(watching), what="well again once it has lasted")
    assert child(watching) not in (None, first)
    assert watching.log.count("(stalled)") == 1


def test_a_stream_that_ends_again_and_again_is_opened_again_and_said_once(
    camera: Mjpeg, watching: Service
) -> None:
    camera.mode = "end"
    until(lambda: watching.metric(FAILURES, reason="lost") >= 2, 30)
    assert camera.connections >= 2
    assert watching.log.count("(lost)") == 1
    camera.mode = "play"
    advances(watching)
    until(lambda: well(watching))
    assert watching.log.count("delivers frames") == 2


def test_damaged_frames_do_not_end_a_stream(camera: Mjpeg, watching: Service) -> None:
    first, sent = child(watching), camera.sent
    camera.mode = "spoil"
    until(lambda: camera.sent > sent + 10)
    camera.mode = "play"
    advances(watching)
    assert child(watching) == first
    assert watching.metric(FAILURES) == 0


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGSTOP, "stalled"), (signal.SIGKILL, "crashed")]
)
def test_a_capture_process_that_is_stopped_or_killed_is_replaced(
    watching: Service, number: signal.Signals, reason: str
) -> None:
    first = child(watching)
    assert first is not None
    os.kill(first, number)
    watching.says(rf"\({reason}\)")
    advances(watching)
    assert gone(first)
    assert child(watching) != first
    until(lambda: well(watching))


@pytest.mark.parametrize("stopped", [False, True])
def test_no_capture_process_outlives_its_detector(
    camera: Mjpeg, watching: Service, stopped: bool
) -> None:
    first = child(watching)
    assert first is not None
    if stopped:
        os.kill(first, signal.SIGSTOP)
    else:
        camera.mode = "stall"
    watching.kill()
    until(lambda: gone(first), 5)


def test_a_looped_file_whose_process_dies_goes_on(edge: Mosquitto) -> None:
    with detector(edge, clips.CLIP, CAMERA_LOOP=1, DETECT_WIDTH=320) as service:
        advances(service)
        first = child(service)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        service.says(r"\(crashed\)")
        advances(service)
        assert service.stop() == 0


def test_a_file_whose_process_dies_is_read_to_its_end_all_the_same(edge: Mosquitto) -> None:
    env = {"DETECT_WIDTH": 320, "CAMERA_TIMEOUT": 2}
    with Mqtt(edge.port, "faces") as mqtt, detector(edge, clips.CLIP, **env) as service:
        for number in (signal.SIGKILL, signal.SIGSTOP):
            before = service.metric(SEARCHED)
            until_above(lambda: service.metric(SEARCHED), before + 20)
            process = child(service)
            assert process is not None
            os.kill(process, number)
        assert service.wait(40) == 0
        assert "ended after 320 frames" in service.log
        until(lambda: f"{len(mqtt.messages)} captured" in service.log)
    seen = [facts(message)["frame_index"] for message in mqtt.messages]
    assert len(seen) == len(set(seen))


def numbered(count: int) -> list[clips.Image]:
    """Frames that tell their number, by the grey of two halves."""
    return [
        np.dstack([np.repeat([[n % 16 * 16, n // 16 * 16]], 64, 1).repeat(64, 0)] * 3).astype("u1")
        for n in range(count)
    ]


def number(image: clips.Image) -> int:
    left, right = (round(float(half.mean()) / 16) for half in np.hsplit(image, 2))
    return left + 16 * right


def test_a_slow_watcher_gets_the_newest_frame_and_knows_how_many_it_missed() -> None:
    async def watch(server: Mjpeg) -> list[tuple[int, int]]:
        settings = read(DetectorSettings, {"CAMERA": server.url})
        seen = []
        async for frame in Camera(settings.camera_options, OwnService()).frames():
            seen.append((number(frame.picture.bgr), server.sent))
            if len(seen) == 6:
                break
            while server.sent < seen[-1][1] + 15:  # as slow as 15 frames
                await asyncio.sleep(0.005)
        return seen

    before = REGISTRY.get_sample_value(SKIPPED, {"camera": "camera-0"}) or 0.0
    with Mjpeg(numbered(250), fps=20) as server:
        seen = asyncio.run(watch(server))
        # What is handed over was sent after it was asked for, or was under way at that moment.
        for shown, sent in seen[1:]:
            assert sent - 1 - shown <= 2, seen
    missed = seen[-1][0] - seen[0][0] - (len(seen) - 1)
    assert missed > 13 * 4
    assert REGISTRY.get_sample_value(SKIPPED, {"camera": "camera-0"}) == before + missed


def test_credentials_are_seen_nowhere(edge: Mosquitto, camera: Mjpeg) -> None:
    address = f"http://root:hunter2@127.0.0.1:{camera.port}/video?token=hunter2"
    with Mqtt(edge.port, "#") as mqtt, detector(edge, address, CAMERA_TIMEOUT=1) as service:
        advances(service)
        assert camera.paths[0].endswith("token=hunter2")
        pids = [service.pid, child(service)]
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
        assert b"detector.capture" in lines[1]
        camera.mode = "end"
        service.says(r"camera http://\*\*\*@127.0.0.1:\d+/video\?\*\*\*: .*\(lost\)")
        report = json.dumps(service.health())
        until(lambda: mqtt.on("faces/status/box-1/detector/camera-0"))
        assert service.stop() == 0
        log = service.log
    assert "INFO" in log
    told = [report, log, *map(repr, lines)]
    told += [repr(message) for message in mqtt.messages]
    assert not [text for text in told if "hunter2" in text]
