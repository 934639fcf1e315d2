"""The file of `CAMERAS`: a table per camera, and all that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.settings import SettingsError, format_settings, read
from detector.camera_settings import CameraSettings
from detector.settings import DetectorSettings

TWO = """
[front-door]
source = "rtsp://192.0.2.7/stream"
username = "viewer"
password_file = "door-password"
rotate = 90
margin = 0.5

[yard]
source = "/dev/video2"
size = "1280x720"
fps = 15
mask = [[0, 0, 0.2, 1], [0.8, 0, 0.2, 1]]
capture = "best"
"""


@pytest.fixture(autouse=True)
def password(tmp_path: Path) -> str:
    (tmp_path / "door-password").write_text("canary#1\n")
    return "canary#1"


def settings(folder: Path, text: str, **environ: str) -> DetectorSettings:
    (folder / "cameras.toml").write_text(text)
    return read(DetectorSettings, {"CAMERAS": str(folder / "cameras.toml"), **environ})


def cameras(folder: Path, text: str, **environ: str) -> list[CameraSettings]:
    return settings(folder, text, **environ).cameras


def problems(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings(folder, text, **environ)
    return caught.value.problems


def test_each_table_is_a_camera_with_settings_of_its_own(tmp_path: Path, password: str) -> None:
    door, yard = cameras(tmp_path, TWO)
    assert (door.camera_name, yard.camera_name) == ("front-door", "yard")
    assert (door.camera_username, door.camera_password) == ("viewer", password)
    assert (door.rotate, door.margin, door.capture) == (90, 0.5, "interval")
    assert (yard.camera_size, yard.camera_fps, yard.capture) == ((1280, 720), 15.0, "best")
    assert yard.mask == ((0, 0, 0.2, 1), (0.8, 0, 0.2, 1))


def test_the_environment_counts_where_a_table_has_nothing_of_its_own(tmp_path: Path) -> None:
    door, yard = cameras(tmp_path, TWO, CAPTURE="every", ROTATE="180", MIN_FACE="0.2")
    assert (door.capture, yard.capture) == ("every", "best")
    assert (door.rotate, yard.rotate) == (90, 180)
    assert (door.min_face, yard.min_face) == (0.2, 0.2)


def test_a_table_may_take_back_what_the_environment_says(tmp_path: Path) -> None:
    text = '[door]\nsource = "rtsp://192.0.2.7/a"\nusername = ""\npassword = ""\n'
    (door,) = cameras(tmp_path, text, CAMERA_USERNAME="viewer", CAMERA_PASSWORD="secret")
    assert (door.camera_username, door.camera_password) == ("", "")


def test_without_the_file_there_is_one_camera_by_the_same_settings() -> None:
    found = read(DetectorSettings, {"CAMERA": "/dev/video3", "CAMERA_NAME": "hall"})
    (camera,) = found.cameras
    assert (camera.camera_name, camera.source.address) == ("hall", "/dev/video3")
    assert read(DetectorSettings, {}).cameras[0].source.address == "/dev/video0"


def test_each_camera_has_its_own_outbox(tmp_path: Path) -> None:
    found = settings(tmp_path, TWO, OUTBOX_PATH="/var/lib/facepipe")
    names = [found.outbox(camera.camera_name).name for camera in found.cameras]
    assert names == ["front-door.db", "yard.db"]


def test_all_that_is_wrong_is_told_at_once_with_table_and_key(tmp_path: Path) -> None:
    text = """
        fps = 3
        [front-door]
        source = "rtsp://192.0.2.7/a"
        rotaet = 90
        margin = "wide"
        password_file = "nowhere"
        [yard]
        source = "/nowhere.mp4"
        engine = "yunnet"
        ["Side Door"]
        min_face = 0.1
    """
    found = problems(tmp_path, text, MARGIN="7", MQTT_PORT="x")
    for begin in (
        "MQTT_PORT must be a whole number",
        "MARGIN must be a number from 0 to 2",
        "[fps] stands outside of a table",
        "[front-door] rotaet is unknown: did you mean rotate?",
        "[front-door] margin must be a number from 0 to 2 (it is 'wide')",
        f"[front-door] password cannot be read from password_file={tmp_path}/nowhere",
        "[yard] source names a file or folder that does not exist: /nowhere.mp4",
        "[yard] engine must be one of haar, yunet",
        "[Side Door] is no name of a camera",
        "[Side Door] source is not set",
    ):
        assert [line for line in found if line.startswith(begin)], (begin, found)
    assert len(found) == 10


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("camera_fps = 3", "[door] camera_fps is unknown: did you mean fps?"),
        ("camera = 3", "[door] camera is unknown: did you mean source?"),
        ("passwordfile = 'x'", "[door] passwordfile is unknown: did you mean password_file?"),
        ("delivery = 'once'", "the environment has what concerns all of them"),
        ("name = 'x'", "[door] name is unknown"),
        ("min_face = 2026-01-01", "[door] min_face must be text in quotes, a number, true or f"),
        ("[door.size]\nwidth = 3", "[door] size must be text in quotes, a number, true or false"),
        ("size = [1280, 720]", "[door] size must be WIDTHxHEIGHT"),
        ("loop = 3", "[door] loop must be 1 or 0"),
        ("password = 'secret'", "[door] password needs username"),
        ("password = 'a'\npassword_file = 'door-password'", "[door] password is set, and so is"),
        ("engine = 'yunet'\nyunet_model = '/etc/hostname'", "[door] yunet_model is not a model"),
    ],
)
def test_a_wrong_key_is_explained(tmp_path: Path, keys: str, words: str) -> None:
    (found,) = problems(tmp_path, f"[door]\nsource = '/dev/video0'\n{keys}\n")
    assert words in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no table: each camera needs one, such as [front-door]"),
        ("[door", "is not valid TOML: Expected ']' at the end of a table declaration"),
        ("[a]\nsource=1\n[a]\nsource=2", "is not valid TOML: Cannot declare ('a',) twice"),
        ("[a]\nsource=1\nsource=2", "is not valid TOML: Cannot overwrite a value"),
        ("[a]\nsource=2\n[b]\nsource='/dev/video2'", "[b] source is the webcam of [a], too"),
        ("[a]\nsource=''", "[a] source is not set"),
        ("[a]\nsource='gopher://x'", "[a] source is a URL, but its scheme is not one of"),
        ("[a]\nsource='rtsp://u:p#x@h/s'", "set username and password instead"),
        ("[a]\nsource='exec:no-such-program'", "[a] source names a command that is not installed"),
    ],
)
def test_a_file_that_cannot_be_is_explained(tmp_path: Path, text: str, words: str) -> None:
    (found,) = problems(tmp_path, text)
    assert words in found


def test_a_camera_of_the_environment_beside_the_file_is_a_mistake(tmp_path: Path) -> None:
    camera, name = problems(tmp_path, TWO, CAMERA="0", CAMERA_NAME="hall")
    assert camera == "CAMERA and CAMERAS are both set: set only one of them"
    assert name == "CAMERA_NAME and CAMERAS are both set: each table's name is its camera's"


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="CAMERAS must name a file that can be read"):
        read(DetectorSettings, {"CAMERAS": "/nowhere/cameras.toml"})


def test_no_login_is_shown(tmp_path: Path) -> None:
    text = "[a]\nsource = 'rtsp://user:canary@192.0.2.7/s'\n[b]\nsource = 'rtsp://u:canary#@h/s'\n"
    assert "canary" not in "".join(problems(tmp_path, text))
    found = settings(tmp_path, TWO)
    shown = format_settings(found) + "".join(c.camera_options.shown for c in found.cameras)
    assert "canary" not in shown + repr(found.cameras[0].camera_options)
