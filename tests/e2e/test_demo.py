"""The demo: what a newcomer runs first."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from testing.clips.clips import decode, is_same
from testing.host.wait import until, until_equal
from testing.pictures import DATA
from testing.services.process import ROOT
from testing.services.visitor import Visitor

CLIP = ROOT / "demo" / "clip.mp4"
CLIPS = [
    CLIP,
    *(
        DATA / "clips" / name
        for name in ("intel_head-pose-face-detection-male.gif", "grid_bbaf2n.mpg")
    ),
]


def demo(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *map(str, arguments)]
    return subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=110
    )


def objects(data: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Each stored face with its metadata."""
    bucket = data / "faces"
    found = []
    for meta in (bucket / ".nanio-meta").rglob("face_*.png.json"):
        key = meta.relative_to(bucket / ".nanio-meta").with_suffix("")
        facts = json.loads(meta.read_text())["user_metadata"]
        named = {name.removeprefix("x-amz-meta-"): facts[name] for name in facts}
        found.append((bucket / key, named))
    return found


def frames(clip: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(clip))
    found = []
    while (read := capture.read())[0]:
        found.append(read[1])
    return found


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_once_stores_every_captured_face_with_the_pixels_of_its_frame(
    clip: Path, tmp_path: Path
) -> None:
    if not clip.exists():
        pytest.skip("the real clips are not on this machine")
    ended = demo("--once", "--camera", clip, "--data", tmp_path)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    stored = objects(tmp_path)
    assert result["captured"] == result["stored"] == len(stored) > 0
    assert result["rejected"] == 0
    pictures = frames(clip)
    for path, facts in stored:
        x, y, w, h = map(int, facts["box"].split(","))
        expected = pictures[int(facts["frame_index"])][y : y + h, x : x + w]
        assert is_same(decode(path.read_bytes()), expected)


def test_once_with_nothing_to_be_found_ends_just_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "grey.png"), np.full((240, 320, 3), 90, np.uint8))
    ended = demo("--once", "--camera", folder, "--data", tmp_path / "data")
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert (result["captured"], result["stored"]) == (0, 0)


def test_an_outage_of_the_link_delays_faces_and_loses_none(tmp_path: Path) -> None:
    ended = demo("--once", "--outage", 3, "--data", tmp_path)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["captured"] == result["stored"] == len(objects(tmp_path)) > 100
    assert "LINK CUT" in ended.stderr
    (log,) = (tmp_path / ".logs").glob("forwarder.log")
    assert "closed); trying again" in log.read_text() or "lost); trying again" in log.read_text()


def test_once_without_its_camera_says_why_and_fails(tmp_path: Path) -> None:
    ended = demo("--once", "--camera", tmp_path / "nothing.mp4", "--data", tmp_path / "data")
    assert ended.returncode != 0
    assert "CAMERA names a file or folder that does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_demos_run_side_by_side_and_leave_nothing_running(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with running(one), running(two):
        for data in (one, two):
            until(partial(objects, data), 120, f"faces of demo {data.name}")
    assert not list(processes_about(tmp_path))


@contextlib.contextmanager
def running(data: Path) -> Iterator[Path]:
    """A demo that goes on until the end of the block; the file with what it prints."""
    said = data.with_suffix(".log")
    with said.open("w") as output:
        # As at a terminal: Python buffers what it prints, and Ctrl-C ends it.
        plain = ["env", "--default-signal=INT", "--unset=PYTHONUNBUFFERED"]
        command = [*plain, sys.executable, "-m", "demo", "--data", str(data)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, said.read_text()


def enter(said: Path) -> tuple[Visitor, str]:
    """Somebody who does as the demo says, and the login that it tells of."""
    pattern = r"Watch the faces arrive:\n  (http://\S+)/ +user: (\S+) +password: (\S+)\n"
    url, name, password = until(
        lambda: re.search(pattern, said.read_text()), 60, "it tells where to look"
    ).groups()
    visitor = Visitor(url)
    assert visitor.log_in(name, password) == 200
    return visitor, password


def status_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(json.load(answer)["status"])


def test_what_is_printed_first_leads_to_the_faces(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as said:
        visitor, password = enter(said)
        (ref, *_) = until(visitor.faces, 60, "faces on the page")
        assert visitor.image(ref) in [path.read_bytes() for path, _ in objects(data)]
        for url in re.findall(r"(http://\S+/healthz)", said.read_text()):
            until_equal(partial(status_of, url), "well", 30, url)
        log = until(lambda: re.search(r"^captured .*in the bucket", said.read_text(), re.MULTILINE))
        assert log.string.index("Press Ctrl-C to stop.") < log.start()
        assert "\r" not in said.read_bytes().decode()  # in a log, each line stays
    with running(data) as said:
        visitor, again = enter(said)
        assert again == password
        visitor.image(ref)  # which was stored by the first
    (file,) = data.glob(".gallery-login.json")
    assert file.stat().st_mode & 0o077 == 0


def processes_about(folder: Path) -> Iterator[str]:
    """Command lines of running processes that name the folder, and services that hold it open."""
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            line = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            logs = os.readlink(proc / "fd" / "2")
        except OSError:
            continue  # it has ended, or has no standard error
        if proc.name != str(os.getpid()) and re.search(str(folder), line + logs):
            yield line
