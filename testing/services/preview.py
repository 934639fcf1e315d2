"""A preview as a process of its own: the product's settings, server and page, and a scene drawn.

`python -m testing.services.preview` gives 30 frames a second of people walking, until SIGUSR1
comes, as when a camera hangs; with the next one it goes on.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import signal
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import cv2
import numpy as np

from common.service import Service, main
from detector.picture import Picture
from detector.planes import Image
from detector.preview.pages import serve
from detector.preview.parts import Mark
from detector.preview.view import Preview
from detector.settings import DetectorSettings
from testing.services import process

PASSWORD = "correct horse battery"
NAME = "jetson.example"  # that it is known by
ADDRESSES = ("/", "/page.js", "/page.css", "/icon.svg")
WIDTH, HEIGHT = 1920, 1080
SKINS = ((150, 180, 224), (98, 134, 190), (62, 88, 140), (170, 196, 236))  # BGR
SHIRTS = ((140, 90, 50), (70, 120, 60), (60, 60, 150), (120, 110, 90))


class Shown(process.Service):
    """`with Shown(...) as page`: `page.at` is where the page is."""

    def __init__(self, **settings: object) -> None:
        own = {"PREVIEW": 1, "CAMERA_NAME": "door", "DEVICE": "jetson-1"}
        super().__init__("testing.services.preview", **{**own, **settings})

    @property
    def at(self) -> str:
        return self.says(r"preview on (https?://\S+)")[1]

    def viewers(self) -> float:
        return self.metric("facepipe_detector_preview_viewers")


class Viewer:
    """Someone who looks, without a browser."""

    def __init__(self, page: Shown, path: str = "/live", **headers: str) -> None:
        self.connection = HTTPConnection(page.at.rpartition("/")[2], timeout=10)
        self.connection.request("GET", path, headers=headers)
        self.answer: HTTPResponse = self.connection.getresponse()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.connection.close()

    def parts(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        while True:
            facts = json.loads(self.answer.readline())
            yield facts, self.answer.read(facts["bytes"])

    def next(self, kind: str) -> tuple[dict[str, Any], bytes]:
        return next(part for part in self.parts() if part[0]["kind"] == kind)


def read_parts(body: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """The parts of an answer that has ended."""
    found = []
    while body:
        line, _, rest = body.partition(b"\n")
        facts = json.loads(line)
        found.append((facts, rest[: facts["bytes"]]))
        body = rest[facts["bytes"] :]
    return found


def get(page: Shown, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(page.at.rpartition("/")[2], timeout=10)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def room() -> Image:
    """A wall, a floor, a door and a poster."""
    wall = np.linspace((196, 200, 202), (160, 168, 174), 700)
    floor = np.linspace((96, 116, 134), (60, 78, 96), HEIGHT - 700)
    image = np.repeat(np.concatenate([wall, floor])[:, None], WIDTH, 1).astype(np.uint8)
    cv2.rectangle(image, (1450, 140), (1790, 720), (86, 106, 122), -1)
    cv2.rectangle(image, (1475, 165), (1765, 720), (118, 142, 160), -1)
    cv2.circle(image, (1735, 470), 14, (60, 60, 60), -1)
    cv2.rectangle(image, (180, 150), (480, 420), (120, 96, 60), -1)
    cv2.rectangle(image, (196, 166), (464, 404), (206, 190, 150), -1)
    return image


def person(image: Image, at: tuple[int, int], size: int, kind: int) -> tuple[int, int, int, int]:
    """Draw someone whose face is `size` pixels wide; the box of the face."""
    x, y = at
    skin, shirt = SKINS[kind % 4], SHIRTS[kind % 4]
    half, chest = size // 2, (x, y + round(size * 1.75))
    cv2.ellipse(image, chest, (round(size * 1.05), size), 0, 180, 360, shirt, -1, cv2.LINE_AA)
    cv2.ellipse(image, (x, y + half), (size // 5, half), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(image, (x, y - size // 9), (round(half * 1.06), round(half * 1.2)), 0, 0, 360,
                (34, 42, 52), -1, cv2.LINE_AA)  # fmt: skip
    cv2.ellipse(image, (x, y), (round(half * 0.88), round(half * 1.12)), 0, 0, 360, skin, -1,
                cv2.LINE_AA)  # fmt: skip
    for side in (-1, 1):
        eye = x + side * size // 5, y - size // 12
        cv2.circle(image, eye, max(2, size // 22), (40, 40, 40), -1, cv2.LINE_AA)
    cv2.ellipse(image, (x, y + size // 5), (size // 6, size // 11), 0, 15, 165, (60, 60, 120), 3,
                cv2.LINE_AA)  # fmt: skip
    return x - half, y - half, size, size


def scene(background: Image, frame: int) -> tuple[Image, list[Mark]]:
    """Frame by frame: three who walk and one far away, who is not confirmed."""
    image, marks = background.copy(), []
    for kind, (speed, size) in enumerate(((0, 72), (3.1, 150), (-4.3, 210), (1.7, 120))):
        span = WIDTH + 2 * size
        x = 1130 if not speed else round((frame * speed + kind * 460) % span) - size
        y = 470 + 40 * kind + round(8 * math.sin(frame / 6 + kind))
        box = person(image, (x, y), size, kind)
        if size < x < WIDTH - size:
            quality = 0.5 + 0.4 * math.sin(frame / 30 + kind)
            sent = kind != 0 and (frame + 20 * kind) % 90 == 0
            score, verdict = 9.0 + 11 * kind, "" if kind else "haar: 9 of 16"
            marks.append(Mark(box, kind + 4, score, quality, kind != 0, sent, verdict))
    return image, marks


def show(preview: Preview, background: Image, frame: int) -> None:
    image, marks = scene(background, frame)
    figures = {
        "frames_per_second": 29.8 + 0.3 * math.sin(frame / 9),
        "skipped_per_second": 0.0,
        "faces_in_view": float(len(marks)),
        "capture_ms": 4.1,
        "search_ms": 12.1 + 2 * math.sin(frame / 11),
        "follow_ms": 3.0 + math.sin(frame / 5),
        "encode_ms": 2.0,
    }
    preview.show(Picture.from_bgr(image), marks, figures)
    for mark in marks:
        if mark.sent:
            x, y, w, h = mark.box
            cut = image[max(0, y - h // 3) : y + h + h // 3, max(0, x - w // 4) : x + w + w // 4]
            png = cv2.imencode(".png", cut)[1].tobytes()
            facts = {"track": str(mark.track), "captured": "2026-03-01T10:42:07.123456Z"}
            preview.show_face(png, {**facts, "quality": f"{mark.quality:.3f}"})


async def run(settings: DetectorSettings, service: Service) -> int:
    healths = {camera.camera_name: service.health for camera in settings.cameras}
    previews = [*serve(settings.preview_options, service, healths).values()]
    giving = asyncio.Event()
    giving.set()

    def toggle() -> None:
        if giving.is_set():
            giving.clear()
        else:
            giving.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, toggle)
    service.spawn(play(previews, giving, service), "scene")
    await service.until_stopped()
    return 0


async def play(previews: list[Preview], giving: asyncio.Event, service: Service) -> None:
    background, frame = room(), 0
    while True:
        service.health.check("camera", None if giving.is_set() else "silent")
        for index, preview in enumerate(previews):
            if giving.is_set() and preview.watched:
                show(preview, background, frame + 40 * index)
        frame += 1
        await asyncio.sleep(1 / 30)


if __name__ == "__main__":
    sys.argv[0] = "detector"
    main("detector", "", DetectorSettings, run)
