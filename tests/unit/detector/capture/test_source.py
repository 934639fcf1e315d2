"""What CAMERA can be, told from its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.capture.source import (
    Source,
    add_login,
    find_problem,
    hide_secrets,
    list_images,
    parse,
)


@pytest.mark.parametrize(
    ("camera", "kind", "address"),
    [
        ("0", "device", "/dev/video0"),
        ("12", "device", "/dev/video12"),
        ("/dev/v4l/by-id/usb-cam", "device", "/dev/v4l/by-id/usb-cam"),
        ("rtsp://host:554/1", "stream", "rtsp://host:554/1"),
        ("RTSPS://host/1", "stream", "rtsps://host/1"),
        ("http://host/mjpeg", "stream", "http://host/mjpeg"),
        ("TCP://host:5000", "stream", "tcp://host:5000"),
        ("exec:rpicam-vid -t 0 -o -", "command", "rpicam-vid -t 0 -o -"),
        ("clip.mp4", "video", "clip.mp4"),
        ("walk.gif", "video", "walk.gif"),
        ("clip", "video", "clip"),
        ("face.JPG", "images", "face.JPG"),
        ("1234.webp", "images", "1234.webp"),
    ],
)
def test_the_text_tells_the_kind(camera: str, kind: str, address: str) -> None:
    assert parse(camera) == Source(kind, address)


def test_a_folder_is_images_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "stills.mp4"
    folder.mkdir()
    assert parse(str(folder)).kind == "images"


@pytest.mark.parametrize("camera", ["7", "/dev/video7", "rtsp://nowhere.invalid/1"])
def test_a_camera_that_may_still_come_is_no_problem(camera: str) -> None:
    assert parse(camera).live
    assert find_problem(parse(camera)) is None


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("gone.mp4", None, "does not exist"),
        ("gone.png", None, "does not exist"),
        ("empty.mp4", b"", "an empty file"),
        ("folder/notes.txt", b"no image", "without images"),
        ("there.mp4", b"to be seen when it is opened", None),
    ],
)
def test_a_file_or_folder_that_cannot_be_a_camera_is_named(
    tmp_path: Path, name: str, content: bytes | None, word: str | None
) -> None:
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    camera = path.parent if path.parent != tmp_path else path
    found = find_problem(parse(str(camera)))
    assert found is None if word is None else found is not None and word in found


@pytest.mark.parametrize(
    ("address", "login", "expected"),
    [
        (
            "rtsp://host:554/cam",
            ("a@b", "p/%:#[]"),
            "rtsp://a%40b:p%2F%25%3A%23%5B%5D@host:554/cam",
        ),
        ("http://old:login@host?x=1@2", ("anna", ""), "http://anna:@host?x=1@2"),
        ("rtsp://host/cam", ("", ""), "rtsp://host/cam"),
        ("clip.mp4", ("anna", "x"), "clip.mp4"),
    ],
)
def test_a_login_stands_in_the_url_as_a_url_can_hold_it(
    address: str, login: tuple[str, str], expected: str
) -> None:
    assert add_login(address, *login) == expected


def test_the_login_in_a_command_is_not_shown() -> None:
    shown = hide_secrets("exec:ffmpeg -i rtsp://anna:secret@host/cam -f mjpeg -")
    assert shown == "exec:ffmpeg -i rtsp://***@host/cam -f mjpeg -"


def test_another_kind_of_url_is_no_camera() -> None:
    found = find_problem(parse("ftp://user:secret@host/clip.mp4"))
    assert found is not None
    assert "rtsp" in found
    assert "secret" not in found


def test_images_come_in_order_of_their_names_and_nothing_else_comes(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.txt", "a10.tiff", "a2.webp"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == [
        "a.JPG",
        "a10.tiff",
        "a2.webp",
        "b.png",
    ]
    assert list_images(tmp_path / "b.png") == [tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("camera", "seen"),
    [
        ("rtsp://user:pw@host:554/a", "rtsp://***@host:554/a"),
        ("rtsp://user:p@w@host/a?token=pw", "rtsp://***@host/a?***"),
        ("rtsp://host/user=admin_password=pw_channel=1", "rtsp://host/***"),
        ("http://user:pw@host", "http://***@host"),
        ("rtsp://admin:pa/ss@host/a", "rtsp://***@host/a"),
        ("rtsp://admin:pa#ss@host/a", "rtsp://***@host/a"),
        ("rtsp://admin:pa?ss@host/a", "rtsp://***@host/a"),
        ("rtsp:/user:pw@host/1", "***@host/1"),
        ("user:pw@host/1", "***@host/1"),
        ("clips/me@home.mp4", "clips/me@home.mp4"),
        ("/dev/video0", "/dev/video0"),
        ("rtsp://host:554/a", "rtsp://host:554/a"),
    ],
)
def test_what_may_be_a_password_is_never_shown(camera: str, seen: str) -> None:
    assert hide_secrets(camera) == seen
