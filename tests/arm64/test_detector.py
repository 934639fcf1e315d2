"""The detector's image for arm64 does there what it is for."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from testing.clips.clips import Image, decode, frames
from testing.host.wait import free_port, until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import Received
from testing.services.detector import facts
from testing.services.process import ROOT
from tests.arm64.conftest import progress
from tests.containers.engine import docker

CLIP_WITHIN = 1800.0  # seconds: emulation takes many times as long as the machine itself
SUBNET = "--format={{(index .IPAM.Config 0).Subnet}}"
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def said(image: str, entry: str, *words: str) -> list[str]:
    """The lines that a program of the image prints; Docker may have put a warning before them."""
    run = ("run", "--rm", "--network=none", f"--entrypoint={entry}", image)
    return docker(*run, *words).splitlines()


@contextlib.contextmanager
def running(image: str, **settings: object) -> Iterator[str]:
    """A container that has the clip in /media: its id. If the test fails, its log is shown."""
    env = [f"--env={name}={value}" for name, value in settings.items()]
    media = f"--volume={ROOT / 'demo'}:/media:ro"
    id = docker("run", "--detach", "--init", *HARDENED, media, *env, image).splitlines()[-1]
    try:
        yield id
    except BaseException:
        print(docker("logs", "--tail=100", id, code=None), file=sys.stderr)
        raise
    finally:
        docker("rm", "--force", "--volumes", id, code=None)


def is_what_it_says(message: Received, clip: list[Image]) -> bool:
    """Whether the picture has the size of its box and shows what is there in the clip.

    Decoders differ in rounding from one kind of processor to the other, so not exactly that.
    """
    x, y, w, h = map(int, facts(message)["box"].split(","))
    there = clip[int(facts(message)["frame_index"])][y : y + h, x : x + w].astype(int)
    shown = decode(message.payload)
    return shown.shape == there.shape and bool(np.abs(shown - there).mean() < 2)


def test_the_image_is_for_arm64_and_so_are_its_wheels(image: str) -> None:
    assert said(image, "uname", "-m")[-1] == "aarch64"
    build = "\n".join(said(image, "python3", "-c", "import cv2; print(cv2.getBuildInformation())"))
    assert re.search(r"^ *Host: +Linux \S+ aarch64$", build, re.MULTILINE), build
    lines = said(image, "sh", "-c", "grep -h ^Tag: lib/*.dist-info/WHEEL")
    tags = [line for line in lines if line.startswith("Tag:")]
    assert any("aarch64" in tag for tag in tags)
    assert not [tag for tag in tags if not tag.endswith(("_aarch64", "-any"))]


def test_it_finds_the_face_in_the_clip_and_publishes_it(image: str, tmp_path: Path) -> None:
    # This machine, as containers see it, and nobody else does: the first address. (The gateway
    # itself is not told by an engine that has just made its network.)
    subnet = ipaddress.ip_network(docker("network", "inspect", SUBNET, "bridge").strip())
    address = str(next(subnet.hosts()))
    port = free_port()
    settings = {"CAMERA": "/media/clip.mp4", "CAMERA_TIMEOUT": 120, "DEVICE": "box-1"}
    with (
        Mosquitto(tmp_path, f"listener {port} {address}") as broker,
        Mqtt(broker.port, "faces") as mqtt,
        running(image, MQTT_HOST=address, MQTT_PORT=port, **settings) as id,
    ):
        progress("the clip is played")
        until(lambda: mqtt.messages, CLIP_WITHIN, "a face comes")
        progress("the first face has come")
        assert docker("wait", id, timeout=CLIP_WITHIN).strip() == "0"
        log = docker("logs", id)
        end = re.search(r"detector: (\d+) captured, \1 sent, 0 rejected", log)
        assert end is not None
        assert " ERROR " not in log
        until(lambda: len(mqtt.messages) == int(end[1]), what="each face that was captured comes")
    clip = list(frames())
    assert [message for message in mqtt.messages if not is_what_it_says(message, clip)] == []
    picture = tmp_path / "face.png"
    picture.write_bytes(mqtt.messages[len(mqtt.messages) // 2].payload)
    progress(f"{len(mqtt.messages)} faces, one of them is {picture}")
