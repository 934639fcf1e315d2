"""Files as a camera: read frame by frame, to their end, and then an exit."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.protocol import clock
from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import Received
from testing.pictures import DATA, png
from testing.services.detector import child, detector, facts, is_cut_from, play
from testing.services.process import Service

REAL = sorted(p for p in (DATA / "clips").glob("*.*") if p.suffix != ".json")


@pytest.fixture
def face_clip(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "face.mp4", clips.faces(12))


def indexes(messages: list[Received]) -> list[int]:
    return [int(facts(message)["frame_index"]) for message in messages]


def test_each_face_of_the_bundled_clip_is_the_pixels_of_its_frame(edge: Mosquitto) -> None:
    messages, log = play(edge, clips.CLIP, DETECT_WIDTH=400)
    frames = list(clips.frames())
    assert len(messages) > 100
    assert f"the file ended after {len(frames)} frames" in log
    assert indexes(messages) == sorted(indexes(messages))
    for message in messages:
        assert is_cut_from(message, frames[int(facts(message)["frame_index"])])


@pytest.mark.skipif(not REAL, reason="there are no real clips here")
def test_each_face_of_real_clips_is_the_pixels_of_its_frame(edge: Mosquitto) -> None:
    suffixes = {path.suffix: path for path in REAL}  # one of each container is enough here
    found = 0
    for path in suffixes.values():
        messages, log = play(edge, path, DETECT_WIDTH=320)
        wanted: dict[int, list[Received]] = {index: [] for index in indexes(messages)}
        for message in messages:
            wanted[int(facts(message)["frame_index"])].append(message)
        for index, frame in enumerate(clips.frames(path)):
            for message in wanted.pop(index, ()):
                assert is_cut_from(message, frame), f"{path.name}, frame {index}"
                found += 1
        assert not wanted, f"{path.name} has no such frames: {sorted(wanted)}"
        assert "truncated" not in log, path.name
    assert found > 100


def test_a_message_carries_the_facts_of_its_face(edge: Mosquitto, face_clip: Path) -> None:
    messages, _ = play(edge, face_clip, CAMERA_NAME="door", MARGIN=0.5)
    assert len(messages) == 12
    ids = [facts(message)["id"] for message in messages]
    assert ids == sorted(set(ids))
    for message in messages:
        known, properties = facts(message), message.properties
        assert properties["ContentType"] == "image/png"
        assert properties["ResponseTopic"] == "faces/receipts/box-1"
        assert properties["CorrelationData"] == known["id"].encode()
        assert (message.qos, message.retain) == (0, False)
        assert (known["device"], known["camera"]) == ("box-1", "door")
        assert (known["frame"], known["clock"], known["engine"]) == ("640x360", "set", "haar")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", known["captured"])
        assert 0.7 <= float(known["score"]) <= 1
        assert float(known["sharpness"]) > 0
        assert "scale" not in known
        x, y, w, h = map(int, known["face"].split(","))
        left, top, across, down = map(int, known["box"].split(","))
        assert (left, top) == (max(0, x - round(w / 2)), max(0, y - round(h / 2)))
        assert clips.decode(message.payload).shape == (down, across, 3)


def test_a_gif_plays_as_a_video_does(edge: Mosquitto, tmp_path: Path) -> None:
    animation = cv2.Animation()
    animation.frames = clips.faces(5)
    animation.durations = [100] * 5
    assert cv2.imwriteanimation(str(tmp_path / "face.gif"), animation)
    messages, log = play(edge, tmp_path / "face.gif")
    assert "ended after 5 frames" in log
    assert len(messages) == 5


def test_a_folder_plays_in_name_order_and_what_cannot_be_read_is_said_and_counted(
    edge: Mosquitto, tmp_path: Path
) -> None:
    images = clips.faces(4)
    for name, image in zip(("a.png", "b.jpg", "d.bmp", "é f.webp"), images, strict=True):
        cv2.imencode(Path(name).suffix, image)[1].tofile(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (tmp_path / "e.png").write_bytes(b"")
    (tmp_path / "g.txt").write_text("no image")
    with detector(edge, tmp_path, CAMERA_END="idle") as service, Mqtt(edge.port, "faces") as mqtt:
        service.says("4 captured.* 0 waiting")
        assert service.metric("facepipe_detector_images_unreadable_total") == 2
        assert len(re.findall(r"[ce]\.png cannot be read \(unreadable\)", service.log)) == 2
        assert "truncated" not in service.log
        assert service.stop() == 0
        until(lambda: len(mqtt.messages) == 4)
    assert indexes(mqtt.messages) == [0, 1, 3, 5]
    assert is_cut_from(mqtt.messages[0], images[0])


@pytest.mark.parametrize("depth", ["color", "grey", "16 bits"])
def test_one_image_is_a_folder_of_one(edge: Mosquitto, tmp_path: Path, depth: str) -> None:
    image = clips.faces(1)[0]
    if depth == "grey":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8)
    made = image.astype(np.uint16) * 257 if depth == "16 bits" else image
    assert cv2.imwrite(str(tmp_path / "face.png"), made)
    messages, log = play(edge, tmp_path / "face.png")
    assert "ended after 1 frames" in log
    assert len(messages) == 1
    three = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    assert is_cut_from(messages[0], three.astype(np.uint8))


def bomb(path: Path) -> None:
    data = bytearray(png())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(data)


def nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("gone.mp4", nothing, "names a file or folder that does not exist"),
        ("empty.mp4", lambda path: path.write_bytes(b""), "names an empty file"),
        ("folder", lambda path: path.mkdir(), "names a folder without images"),
        ("text.mp4", lambda path: path.write_text("a text\n" * 999), "is not a video or image"),
        (
            "noise.mkv",
            lambda path: path.write_bytes(bytes(range(256)) * 99),
            "is not a video or image",
        ),
        ("text.png", lambda path: path.write_text("a text"), "is not a video or image"),
        ("bomb.png", bomb, "is not a video or image"),
        ("no-moov.mp4", lambda path: clips.cut(path, clips.CLIP, 0.3), "is not a video or image"),
    ],
)
@pytest.mark.parametrize("loop", [0, 1])
def test_a_file_that_is_no_camera_ends_with_2_before_any_work(
    edge: Mosquitto,
    tmp_path: Path,
    name: str,
    make: Callable[[Path], object],
    words: str,
    loop: int,
) -> None:
    path = tmp_path / name
    make(path)
    with detector(edge, path, CAMERA_LOOP=loop) as service:
        assert service.wait(20) == 2
        assert re.search(f"^detector: CAMERA {words}", service.log, re.MULTILINE) or (
            f"detector: CAMERA names a file that is {words}" in service.log
        )
        assert str(path) in service.log
        assert "Traceback" not in service.log
        assert "edge broker" not in service.log


@pytest.mark.parametrize(("suffix", "fourcc"), [("avi", "MJPG"), ("mkv", "mp4v")])
def test_a_truncated_video_gives_its_readable_frames_and_a_warning(
    edge: Mosquitto, tmp_path: Path, suffix: str, fourcc: str
) -> None:
    whole = clips.write(tmp_path / f"whole.{suffix}", clips.faces(40), fourcc)
    part = clips.cut(tmp_path / f"part.{suffix}", whole, 0.5)
    # FFmpeg decodes a JPEG that breaks off: half a picture.
    pairs = zip(clips.frames(part), clips.frames(whole), strict=False)
    frames = [frame for frame, original in pairs if np.array_equal(frame, original)]
    assert 5 < len(frames) < 30
    messages, log = play(edge, part)
    assert f"ended after {len(frames)} of about 40 frames" in log
    assert "(truncated)" in log
    assert "Traceback" not in log
    assert len(messages) == len(frames)
    assert all(is_cut_from(m, frames[i]) for i, m in zip(indexes(messages), messages, strict=True))


def test_damaged_frames_within_a_file_are_passed_over(edge: Mosquitto, tmp_path: Path) -> None:
    images = clips.faces(30)
    path = clips.write(tmp_path / "face.avi", images, "MJPG")
    data = path.read_bytes()
    starts = [found.start() for found in re.finditer(b"\xff\xd8\xff", data)]
    assert len(starts) == 30
    spoilt = data[: starts[10]] + bytes(starts[15] - starts[10]) + data[starts[15] :]
    path.write_bytes(data[: starts[10]] + bytes(300) + spoilt[starts[10] + 300 :])
    messages, log = play(edge, path)
    assert "Traceback" not in log
    assert len(messages) >= 24


def test_an_mp4_whose_end_is_missing_gives_its_readable_frames(
    edge: Mosquitto, tmp_path: Path
) -> None:
    part = clips.cut(tmp_path / "part.mp4", clips.faststart(tmp_path / "whole.mp4"), 0.5)
    messages, log = play(edge, part)
    assert "(truncated)" in log
    assert len(messages) > 50


def test_a_file_that_has_ended_can_leave_the_service_idle_and_well(
    edge: Mosquitto, face_clip: Path
) -> None:
    with detector(edge, face_clip, CAMERA_END="idle") as service:
        service.says("12 captured.* 0 waiting")
        until(lambda: service.metric("facepipe_detector_camera_ended") == 1)
        assert child(service) is None
        assert service.health()["status"] == "well"
        with Mqtt(edge.port, "faces/status/box-1/detector/camera-0") as mqtt:
            until(lambda: mqtt.messages)
            told = json.loads(mqtt.messages[0].payload)
            assert (told["state"], told["status"]) == ("online", "well")
        assert service.running
        assert service.stop() == 0


def test_a_looped_file_plays_at_its_own_rate_and_who_is_late_misses_frames(
    edge: Mosquitto, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "face.mp4", clips.faces(30), fps=120)
    slow = {"SCALE_FACTOR": 1.01, "MIN_FACE": 0.01}
    with Mqtt(edge.port, "faces") as mqtt, looped(edge, path, **slow) as service:
        until(lambda: service.metric("facepipe_detector_frames_skipped_total") > 60)
        until(lambda: plays_again(indexes(mqtt.messages)))
        assert service.stop() == 0
    assert max(indexes(mqtt.messages)) < 30


def plays_again(seen: list[int]) -> bool:
    return any(later < earlier for earlier, later in itertools.pairwise(seen))


def looped(broker: Mosquitto, path: Path, **env: object) -> Service:
    return detector(broker, path, CAMERA_LOOP=1, **env)


@pytest.mark.parametrize("fps", [None, 4])
def test_a_looped_file_keeps_its_pace_from_one_round_to_the_next(
    edge: Mosquitto, tmp_path: Path, fps: int | None
) -> None:
    path = clips.write(tmp_path / "face.avi", clips.faces(1), "MJPG", 5)
    env = {"CAMERA_FPS": fps} if fps else {}
    rounds = 20
    with Mqtt(edge.port, "faces") as mqtt, looped(edge, path, **env):
        until(lambda: len(mqtt.messages) > rounds)
    first, last = (clock.from_rfc3339(facts(mqtt.messages[at])["captured"]) for at in (0, rounds))
    assert last - first > 0.8 * rounds / (fps or 5)  # the first may be late


def pss(pid: int) -> float:
    """Megabytes of a process, what it shares with others in equal parts; 0 when it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def test_both_processes_together_stay_under_250_megabytes_at_1080p(
    edge: Mosquitto, tmp_path: Path
) -> None:
    large = (cv2.resize(image, (1920, 1080)).astype(np.uint8) for image in clips.faces(40))
    path = clips.write(tmp_path / "large.mp4", large)
    seen: list[float] = []
    with detector(edge, path, DELIVERY="receipt", CAMERA_END="idle") as service:
        service.says("delivers frames of 1920x1080")

        def ended() -> bool:
            capture = child(service)
            seen.append(pss(service.pid) + (pss(capture) if capture else 0.0))
            return "ended after 40 frames" in service.log

        until(ended, 40)
    assert 50 < max(seen) < 250
