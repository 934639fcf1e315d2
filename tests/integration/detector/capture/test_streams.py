"""Network cameras: real RTSP of several kinds, their logins, and why one does not open."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from common.service import Service as OwnService
from common.settings import read
from detector.capture.camera import Camera
from detector.capture.frame import Frame
from detector.settings import DetectorSettings
from testing.clips import clips
from testing.host.wait import free_port, until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.network.mjpeg import Mjpeg
from testing.network.rtsp import H264, H265, MJPEG, Rtsp, clip
from testing.services.detector import detector

FRAMES = "facepipe_detector_frames_total"
FAILURES = "facepipe_detector_camera_failures_total"
TEST = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1"
SPECIAL = "p[a]#s/%40@:w?&d+ \"\\'ü"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled clip in a form that Debian's GStreamer can decode."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    return clips.write(path, clips.faces(400, 0), "MJPG", 15.0)


def watch(count: int, **settings: str) -> list[Frame]:
    """The first frames of a camera."""
    options = read(DetectorSettings, settings).camera_options

    async def collect() -> list[Frame]:
        seen: list[Frame] = []
        async for frame in Camera(options, OwnService()).frames():
            seen.append(frame)
            if len(seen) == count:
                break
        return seen

    return asyncio.run(collect())


@pytest.mark.parametrize("codec", [H264, H265, MJPEG], ids=["h264", "h265", "mjpeg"])
@pytest.mark.parametrize("gop", [15, 150])
def test_faces_come_from_rtsp(edge: Mosquitto, film: Path, codec: str, gop: int) -> None:
    with (
        Rtsp(clip(film, codec, gop=gop)) as camera,
        Mqtt(edge.port, "faces") as mqtt,
        detector(edge, camera.url) as service,
    ):
        until(lambda: len(mqtt.messages) > 3, 60, "faces came")
        assert service.metric(FAILURES) == 0


@pytest.mark.parametrize("codec", [H264, H265, MJPEG], ids=["h264", "h265", "mjpeg"])
def test_a_camera_that_refuses_tcp_is_read_by_udp(film: Path, codec: str) -> None:
    with Rtsp(clip(film, codec), udp=True) as camera:
        frames = watch(10, CAMERA=camera.url)
    assert {frame.picture.shape for frame in frames} == {(360, 640)}


@pytest.mark.parametrize("fps", ["1/2", "60/1"], ids=["one in two seconds", "sixty a second"])
def test_faces_come_at_any_rate(edge: Mosquitto, film: Path, fps: str) -> None:
    """Of one frame in two seconds, the face is in some ten."""
    with (
        Rtsp(clip(film, fps=fps)) as camera,
        Mqtt(edge.port, "faces") as mqtt,
        detector(edge, camera.url) as service,
    ):
        until(lambda: mqtt.messages, 60, "a face came")
        assert service.metric(FAILURES) == 0


@pytest.mark.parametrize("scheme", ["rtsp", "RTSP"])
def test_the_scheme_may_stand_in_capitals(film: Path, scheme: str) -> None:
    with Rtsp(clip(film)) as camera:
        (frame,) = watch(1, CAMERA=camera.url.replace("rtsp", scheme, 1))
    assert frame.picture.bgr.shape == (360, 640, 3)


@pytest.mark.parametrize("digest", [False, True], ids=["basic", "digest"])
def test_a_login_is_typed_as_it_is(digest: bool) -> None:
    launch = f"{TEST} ! {H264.format(gop=15)} name=pay0"
    with Rtsp(launch, user="us@er", password=SPECIAL, digest=digest) as camera:
        (frame,) = watch(1, CAMERA=camera.url, CAMERA_USERNAME="us@er", CAMERA_PASSWORD=SPECIAL)
    assert frame.picture.bgr.shape == (240, 320, 3)


@pytest.mark.parametrize("seconds", [7, 20])
def test_a_camera_that_takes_long_to_answer_opens(edge: Mosquitto, seconds: int) -> None:
    launch = f"{TEST} ! {H264.format(gop=15)} name=pay0"
    with (
        Rtsp(launch, delay=seconds) as camera,
        detector(edge, camera.url, CAMERA_TIMEOUT=1) as service,
    ):
        service.says("delivers frames of 320x240", 40)
        assert service.metric(FAILURES) == 0


def test_a_camera_that_comes_back_with_another_size_goes_on(edge: Mosquitto, film: Path) -> None:
    with (
        Rtsp(clip(film)) as camera,
        detector(edge, camera.url, CAMERA_TIMEOUT=2) as service,
    ):
        service.says("delivers frames of 640x360", 40)
        camera.restart(clip(film, size="320,height=180"))
        service.says("delivers frames of 320x180", 60)
        assert service.metric(FAILURES) >= 1


def test_a_camera_that_is_frozen_for_25_seconds_goes_on(edge: Mosquitto) -> None:
    launch = f"{TEST} ! {H264.format(gop=15)} name=pay0"
    with Rtsp(launch) as camera, detector(edge, camera.url, CAMERA_TIMEOUT=2) as service:
        service.says("delivers frames of 320x240", 40)
        thawed = time.monotonic() + 25
        with camera.frozen():
            service.says(r"camera .*\(stalled\)", 20)
            until(lambda: time.monotonic() > thawed, 30)
        before = service.metric(FRAMES)
        until(lambda: service.metric(FRAMES) > before, 60, "frames come again")
        until(lambda: "camera" not in service.health()["reasons"], 30, "the camera is well")


def serve(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Whoever connects gets this answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def babbler() -> Iterator[str]:
    """Sends what is no video, and ends."""
    yield from serve(lambda connection: connection.sendall(b"no video at all\n" * 100))


@pytest.fixture
def guarded() -> Iterator[Rtsp]:
    with Rtsp(f"{TEST} ! {H264.format(gop=15)} name=pay0", user="anna", password="x") as camera:
        yield camera


@pytest.fixture
def sound() -> Iterator[Rtsp]:
    with Rtsp("audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0") as camera:
        yield camera


def fails(edge: Mosquitto, address: str, reason: str, **settings: object) -> None:
    """The log, the metric, health and status name the same reason."""
    with (
        Mqtt(edge.port, "faces/status/#") as mqtt,
        detector(edge, address, CAMERA_TIMEOUT=1, **settings) as service,
    ):
        service.says(rf"camera .*\({reason}\)", 50)
        until(lambda: service.metric(FAILURES, reason=reason) >= 1)
        until(lambda: service.health()["reasons"].get("camera") == reason)
        until(lambda: any(reason.encode() in m.payload for m in mqtt.messages), 30, "the status")
        assert "Traceback" not in service.log


def test_a_login_that_is_refused_has_its_own_reason(edge: Mosquitto, guarded: Rtsp) -> None:
    fails(edge, guarded.url, "unauthorized", CAMERA_USERNAME="anna", CAMERA_PASSWORD="y")


def test_a_path_that_the_camera_does_not_know_has_its_own_reason(
    edge: Mosquitto, guarded: Rtsp
) -> None:
    address = guarded.url.replace("/cam", "/other")
    fails(edge, address, "not_found", CAMERA_USERNAME="anna", CAMERA_PASSWORD="x")


def test_a_stream_of_sound_alone_has_its_own_reason(edge: Mosquitto, sound: Rtsp) -> None:
    fails(edge, sound.url, "no_video")


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp", "tcp"])
def test_a_port_where_nothing_listens_has_its_own_reason(edge: Mosquitto, scheme: str) -> None:
    fails(edge, f"{scheme}://127.0.0.1:{free_port()}/live", "refused")


def test_a_name_that_nobody_knows_has_its_own_reason(edge: Mosquitto) -> None:
    fails(edge, "rtsp://camera.invalid/cam", "unknown_host")


@pytest.mark.parametrize("scheme", ["rtsp", "tcp"])
def test_what_is_no_video_has_its_own_reason(edge: Mosquitto, babbler: str, scheme: str) -> None:
    fails(edge, f"{scheme}://{babbler}/cam", "not_video")


@contextlib.contextmanager
def sending(film: Path, url: str) -> Iterator[None]:
    """FFmpeg sends the film to `url` at its own rate, as H.264 in MPEG-TS."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-i", str(film)]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15"]
    with subprocess.Popen([*command, "-f", "mpegts", url]) as sender:
        try:
            yield
        finally:
            sender.kill()


@pytest.mark.parametrize(
    ("sends", "camera"),
    [
        ("tcp://127.0.0.1:{}?listen=1", "tcp://127.0.0.1:{}"),
        ("udp://127.0.0.1:{}?pkt_size=1316", "udp://127.0.0.1:{}"),
        (
            "srt://127.0.0.1:{}?mode=listener",
            "exec:ffmpeg -loglevel error -i srt://127.0.0.1:{} -c copy -f mpegts -",
        ),
    ],
    ids=["tcp", "udp", "srt"],
)
def test_faces_come_as_mpeg_ts(edge: Mosquitto, film: Path, sends: str, camera: str) -> None:
    port = free_port()
    with (
        sending(film, sends.format(port)),
        Mqtt(edge.port, "faces") as mqtt,
        detector(edge, camera.format(port)),
    ):
        until(lambda: len(mqtt.messages) > 3, 60, "faces came")


@pytest.mark.parametrize("name", ["film.mp4", "film.m3u8"])
def test_a_recording_behind_a_web_server_plays(film: Path, tmp_path: Path, name: str) -> None:
    forms = {"film.mp4": ["-movflags", "faststart"], "film.m3u8": ["-hls_list_size", "0"]}
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(film), "-frames:v", "60"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", *forms[name], str(tmp_path / name)]
    subprocess.run(command, check=True)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        frames = watch(20, CAMERA=f"http://127.0.0.1:{server.server_port}/{name}")
        server.shutdown()
    assert {frame.picture.shape for frame in frames} == {(360, 640)}


@pytest.mark.parametrize("form", ["joined", "snapshot"])
def test_jpegs_over_http_come_without_multipart(form: str) -> None:
    with Mjpeg(clips.faces(20), form=form) as server:
        frames = watch(5, CAMERA=server.url)
    assert {frame.picture.bgr.shape for frame in frames} == {(360, 640, 3)}
    assert server.connections == (1 if form == "joined" else 5)


def test_a_snapshot_that_takes_longer_than_its_interval_is_requested_at_once() -> None:
    labels = {"camera": "camera-0", "reason": "crashed"}
    before = REGISTRY.get_sample_value(FAILURES, labels)
    with Mjpeg(clips.faces(20), form="snapshot", fps=25) as server:
        assert len(watch(10, CAMERA=server.url, CAMERA_FPS="240")) == 10
    assert REGISTRY.get_sample_value(FAILURES, labels) == before


def test_a_login_reaches_an_http_camera() -> None:
    with Mjpeg(clips.faces(20), login=("anna", SPECIAL)) as server:
        (frame,) = watch(1, CAMERA=server.url, CAMERA_USERNAME="anna", CAMERA_PASSWORD=SPECIAL)
    assert frame.picture.bgr.shape == (360, 640, 3)
