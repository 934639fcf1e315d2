"""`python -m detector --probe`: real cameras of each kind, and what is said of those that fail."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from testing.clips import clips
from testing.clips.clips import Image
from testing.host.wait import free_port, until
from testing.network.mjpeg import Mjpeg
from testing.network.rtsp import H264, Rtsp
from testing.services.detector import run, write_cameras
from testing.services.process import Process

TEST = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1"
SECRET = "p[a]#s/%40@:w?"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return tmp_path / "seen.png"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Rtsp]:
    launch = f"{TEST} ! {H264.format(gop=15)} name=pay0"
    with Rtsp(launch, user="anna", password=SECRET) as camera:
        yield camera


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return {line[:16].strip(): line[16:] for line in done.stdout.splitlines()}


def rate(text: str) -> float:
    found = re.fullmatch(r"([0-9.]+) a second", text)
    assert found is not None
    return float(found[1])


def read(path: Path) -> Image:
    return clips.decode(path.read_bytes())


def encode(path: Path, *options: str) -> Path:
    """What FFmpeg makes of the bundled clip."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(clips.CLIP), *options]
    subprocess.run([*command, str(path)], check=True)
    return path


def test_an_rtsp_camera_is_described_and_its_password_is_not_shown(
    guarded: Rtsp, picture: Path
) -> None:
    login = {"CAMERA_USERNAME": "anna", "CAMERA_PASSWORD": SECRET}
    done = run("--probe", guarded.url, "--picture", picture, **login)
    found = rows(done)
    assert found["camera"] == guarded.url
    assert (found["kind"], found["container"], found["size"]) == ("stream", "rtsp", "320x240")
    assert found["codec"].startswith("h264 (")
    assert (found["interlaced"], found["rotation"]) == ("no", "0 degrees clockwise")
    assert 5 < rate(found["rate measured"]) < 40
    assert re.fullmatch(r"after [0-9.]+ s", found["first frame"])
    assert read(picture).shape == (240, 320, 3)
    assert SECRET not in done.stdout + done.stderr


def test_a_file_is_described_by_its_own_clock(picture: Path) -> None:
    found = rows(run("--probe", clips.CLIP, "--picture", picture))
    assert (found["kind"], found["pixel format"]) == ("file", "yuv420p")
    assert rate(found["rate stated"]) == rate(found["rate measured"]) == 20
    # Two seconds at 20 frames a second are over with the frame of number 40.
    expected = list(clips.frames())[40]
    assert np.abs(read(picture).astype(int) - expected).mean() < 2


def test_interlaced_and_turned_video_is_called_so(tmp_path: Path, picture: Path) -> None:
    field = encode(tmp_path / "field.mp4", "-t", "3", "-c:v", "libx264", "-x264opts", "tff=1")
    assert rows(run("--probe", field, "--picture", picture))["interlaced"] == "yes"
    turned = encode(tmp_path / "turned.mp4", "-t", "1", "-c", "copy", "-metadata:s:v", "rotate=90")
    found = rows(run("--probe", turned, "--picture", picture))
    assert (found["rotation"], found["size"]) == ("270 degrees clockwise", "360x640")
    assert read(picture).shape == (640, 360, 3)


def test_a_command_is_described_by_what_it_writes(picture: Path) -> None:
    line = f"ffmpeg -nostdin -loglevel error -re -i {clips.CLIP} -f mjpeg -"
    found = rows(run("--probe", f"exec:{line}", "--picture", picture))
    assert (found["kind"], found["codec"][:5], found["size"]) == ("command", "mjpeg", "640x360")


def test_a_snapshot_is_described_at_the_rate_at_which_it_is_asked(tmp_path: Path) -> None:
    picture = tmp_path / "seen.jpg"
    with Mjpeg(clips.faces(5), form="snapshot") as server:
        found = rows(run("--probe", server.url, "--picture", picture))
    assert (found["kind"], found["size"]) == ("stream", "640x360")
    assert rate(found["rate measured"]) < 3
    assert picture.read_bytes().startswith(b"\xff\xd8")


def test_a_single_picture_has_no_rate(tmp_path: Path, picture: Path) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), clips.faces(1)[0])
    found = rows(run("--probe", tmp_path / "still.png", "--picture", picture))
    assert (found["kind"], found["rate measured"]) == ("pictures", "-")


def test_settings_of_the_camera_are_followed_and_the_argument_wins(picture: Path) -> None:
    found = rows(run("--probe", "--picture", picture, CAMERA=clips.CLIP, ROTATE=90))
    assert found["camera"] == str(clips.CLIP)
    assert read(picture).shape == (640, 360, 3)
    found = rows(run("--probe", clips.CLIP, "--picture", picture, CAMERA="/gone.mp4"))
    assert found["camera"] == str(clips.CLIP)


def fails(reason: str, camera: str, **settings: object) -> str:
    done = run("--probe", camera, **settings)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.endswith(f"({reason})\n")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_refused_login_is_a_sentence_with_its_reason(guarded: Rtsp) -> None:
    login = {"CAMERA_USERNAME": "anna", "CAMERA_PASSWORD": "wr/ong"}
    assert "wr/ong" not in fails("unauthorized", guarded.url, **login)


def test_what_is_not_there_is_a_sentence_with_its_reason(tmp_path: Path) -> None:
    said = fails("refused", f"rtsp://anna:hidden@127.0.0.1:{free_port()}/cam")
    assert "nothing is listening on its port" in said
    assert "hidden" not in said
    fails("absent", "/dev/video250")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all\n" * 100)
    fails("not_video", str(broken))


def test_a_command_that_fails_tells_its_last_line_without_a_password() -> None:
    line = "sh -c 'echo rtsp://anna:hidden@camera/: no route >&2; exit 1'"
    said = fails("ended", f"exec:{line}")
    assert "the command exited with code 1: rtsp://***@camera/: no route" in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/gone.mp4",), "CAMERA names a file or folder that does not exist"),
        ((clips.CLIP, "--picture", "/gone/seen.png"), "--picture: there is no folder /gone"),
        ((clips.CLIP, "--picture", "seen.mp4"), "must end with one of .jpeg, .jpg, .png"),
    ],
)
def test_settings_that_cannot_be_right_are_told_at_once(
    arguments: tuple[object, ...], words: str
) -> None:
    done = run("--probe", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "opening" not in done.stderr


def test_control_c_ends_it_with_all_that_it_has_started(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("while :; do sleep 1; done\n")
    camera = f"exec:sh -c 'sh {silent}; true'"
    command = [sys.executable, "-m", "detector", "--probe", camera]
    with Process(command) as process:
        until(lambda: shells(silent), 30, "the command runs")
        process.signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT
        until(lambda: not shells(silent), what="its children ended, too")
        assert "Traceback" not in process.log


def shells(path: Path) -> list[str]:
    """The shells that run a script."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().decode(errors="replace"))
        except OSError:
            continue  # it has just ended
    return [line for line in lines if line.startswith(f"sh\0{path}\0")]


def test_help_explains_it_and_a_picture_alone_makes_no_sense() -> None:
    said = run("--help").stdout
    assert "--probe [SOURCE]" in said
    alone = run("--picture", "seen.png")
    assert alone.returncode == 2
    assert "--picture only works with --probe" in alone.stderr


def test_one_of_several_cameras_is_probed_by_its_name(tmp_path: Path) -> None:
    path = write_cameras(tmp_path, {"hall": {"source": 97}, "clip": {"source": clips.CLIP}})
    done = run("--probe", "clip", "--picture", tmp_path / "a.png", CAMERAS=path)
    assert done.returncode == 0, done.stderr
    assert f"clip ({clips.CLIP})" in done.stdout
    asked = run("--probe", CAMERAS=path)
    assert (asked.returncode, asked.stderr) == (
        2,
        "detector: --probe: say which camera: hall, clip\n",
    )
