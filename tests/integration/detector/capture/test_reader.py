"""Files as recorders and phones make them, and commands: all made here, by FFmpeg."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from common.settings import SettingsError, read
from detector.capture import command, pyav
from detector.capture.producer import FrameProducer, ProducerOptions, SourceError
from detector.picture import Picture
from detector.planes import Image
from detector.settings import DetectorSettings
from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import child, detector, play

FAILURES = "facepipe_detector_camera_failures_total"
FFMPEG = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]


def make(path: Path, *options: str, of: Path = clips.CLIP) -> Path:
    """What FFmpeg makes of a clip."""
    subprocess.run([*FFMPEG, "-i", str(of), *options, str(path)], check=True)
    return path


def read_all(producer: FrameProducer) -> list[Image]:
    images = []
    while producer.grab() is not None:
        picture = producer.retrieve()
        assert picture is not None
        images.append(Picture(picture.planes, picture.form).bgr)
    producer.close()
    return images


def frames(path: Path) -> list[Image]:
    return read_all(pyav.create(str(path), ProducerOptions()))


def difference(one: Image, other: Image) -> float:
    """The mean difference of their pixels, in steps of 255."""
    return float(np.mean(np.abs(one.astype(np.int16) - other.astype(np.int16))))


@pytest.mark.parametrize(
    "codec",
    [
        ("field.ts", "-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ilme+ildct"),
        ("field.mp4", "-c:v", "libx264", "-crf", "16", "-x264opts", "tff=1"),
    ],
    ids=["mpeg2", "h264"],
)
def test_interlaced_video_gives_the_faces_of_the_progressive_original(
    edge: Mosquitto, tmp_path: Path, codec: tuple[str, ...]
) -> None:
    # Two frames of the original make one of two fields.
    path = make(tmp_path / codec[0], "-vf", "tinterlace=interleave_top,setfield=tff", *codec[1:])
    plain = make(tmp_path / "plain.mp4", "-vf", "select=not(mod(n\\,2))", "-vsync", "0")
    sent, log = play(edge, path)
    original, _ = play(edge, plain)
    assert len(original) > 20
    assert abs(len(sent) - len(original)) <= 0.1 * len(original)
    assert "Traceback" not in log
    pairs = list(zip(frames(path), frames(plain), strict=False))
    assert len(pairs) > 50
    assert max(difference(*pair) for pair in pairs) < 12


def test_size_and_pixel_format_may_change_within_a_stream(tmp_path: Path) -> None:
    ten = ["-frames:v", "10", "-bf", "0", "-c:v", "libx264"]
    parts = [
        make(tmp_path / "one.ts", *ten),
        make(tmp_path / "two.ts", *ten, "-vf", "scale=320:180"),
        make(tmp_path / "three.ts", *ten, "-pix_fmt", "yuv444p"),
    ]
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    images = frames(path)
    # The last frame of a part breaks off where the next one begins.
    runs = [(size, len(list(run))) for size, run in groupby(image.shape[:2] for image in images)]
    assert [size for size, _ in runs] == [(360, 640), (180, 320), (360, 640)]
    assert all(count >= 9 for _, count in runs)
    assert difference(images[0], images[-10]) < 3


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_phones_video_comes_upright(tmp_path: Path, turn: int) -> None:
    plain = make(tmp_path / "plain.mp4", "-frames:v", "3", "-c:v", "libx264")
    path = tmp_path / "turned.mp4"
    # The display matrix says how to turn it.
    make(path, "-c", "copy", "-metadata:s:v", f"rotate={turn}", of=plain)
    reference = list(clips.frames(path))  # OpenCV turns as the matrix says
    images = frames(path)
    assert len(images) == len(reference) == 3
    for image, expected in zip(images, reference, strict=True):
        assert image.shape == expected.shape
        assert difference(image, expected) < 2  # OpenCV rounds down


def test_the_video_with_the_most_pixels_is_taken(tmp_path: Path) -> None:
    path = make(
        tmp_path / "two.mkv",
        *("-filter_complex", "[0:v]split[a][b];[a]scale=160:90[s]", "-map", "[s]", "-map", "[b]"),
        *("-frames:v", "5", "-c:v", "libx264"),
    )
    assert {image.shape[:2] for image in frames(path)} == {(360, 640)}


def test_frames_of_a_variable_rate_have_the_times_of_their_stamps(tmp_path: Path) -> None:
    path = make(
        tmp_path / "variable.mkv",
        "-vf",
        "select=lt(n\\,10)+gt(n\\,50)",
        "-vsync",
        "vfr",
        "-frames:v",
        "20",
    )
    producer = pyav.create(str(path), ProducerOptions())
    times = []
    while producer.grab() is not None:
        times.append(producer.time)
    producer.close()
    steps = np.diff(times)
    assert max(steps) > 20 * min(steps) > 0


FORMS = {
    "y4m": "-f yuv4mpegpipe",
    "mjpeg": "-f mjpeg",
    "ts": "-c:v libx264 -tune zerolatency -f mpegts",
    "matroska": "-c:v libx264 -tune zerolatency -f matroska",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_command_may_be_the_camera(edge: Mosquitto, form: str) -> None:
    line = f"ffmpeg -nostdin -loglevel error -re -i {clips.CLIP} {FORMS[form]} -"
    with Mqtt(edge.port, "faces") as mqtt, detector(edge, f"exec:{line}") as service:
        until(lambda: len(mqtt.messages) > 3, 60, "faces came")
        assert service.metric(FAILURES) == 0


def test_a_command_that_ends_is_started_again_and_its_last_line_is_in_the_log(
    edge: Mosquitto,
) -> None:
    line = "sh -c 'echo the sensor is gone >&2; exit 3'"
    with detector(edge, f"exec:{line}") as service:
        service.says(r"the command exited with code 3: the sensor is gone \(ended\)", 30)
        until(lambda: service.metric(FAILURES, reason="ended") >= 2, 30, "it was tried again")


def test_a_command_is_killed_with_its_children(edge: Mosquitto, tmp_path: Path) -> None:
    mark = f"{tmp_path}/clip.mp4"
    Path(mark).symlink_to(clips.CLIP)
    inner = f"ffmpeg -nostdin -loglevel error -stream_loop -1 -re -i {mark} -f mjpeg -"
    with detector(edge, f"exec:sh -c {shlex.quote(inner + '; true')}") as service:
        service.says("delivers frames of 640x360", 40)
        assert child(service) is not None
        assert running(mark)
        assert service.stop() == 0
        until(lambda: not running(mark), what="its children ended, too")


def running(mark: str) -> list[str]:
    """The processes whose command line names it, but for the detector."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if mark in line and line.startswith("ffmpeg"):
            found.append(line)
    return found


def test_a_command_that_gives_no_video_is_told_apart() -> None:
    with pytest.raises(SourceError) as raised:
        command.create("yes this is no video", ProducerOptions())
    assert raised.value.reason == "not_video"


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("exec:nothing-of-this-name -x", "a command that is not installed: nothing-of-this-name"),
        ("exec:sh 'x", "cannot be split into words"),
        ("exec:", "no command after exec:"),
        ("srt://host:9000", "CAMERA=exec:ffmpeg"),
        ("rtsp://user:pa#ss@host/cam", "set CAMERA_USERNAME and CAMERA_PASSWORD"),
        ("rtsp://user:pa[ss@host/cam", "set CAMERA_USERNAME and CAMERA_PASSWORD"),
    ],
)
def test_a_camera_that_cannot_be_right_gets_a_sentence(camera: str, words: str) -> None:
    environ = {"DEVICE": "box-1", "CAMERA": camera}
    with pytest.raises(SettingsError, match=re.escape(words)) as raised:
        read(DetectorSettings, environ)
    assert "ss@host" not in str(raised.value)
