"""The check of the camera: what the running detector says of it, or a look through it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2

from detector.camera_settings import CameraSettings
from detector.capture.producer import SourceError
from detector.commands.image import write_picture
from detector.commands.probe import probe
from detector.encoding import crop
from detector.planes import Image
from doctor.check import Finding, fail, ok, warn

DETECTORS = ("detector:9101", "127.0.0.1:9101")  # in a container, and on the machine itself
_PREVIEW = "docs/jetson.md#see-what-it-sees"
_COLUMNS = 64  # of the picture in a terminal
_REMEDIES = {
    "absent": "plug the webcam in, or correct CAMERA_DEVICE: ls -l /dev/v4l/by-id",
    "unauthorized": "correct CAMERA_USERNAME and CAMERA_PASSWORD_FILE",
    "not_found": "correct the path in CAMERA: the camera's manual has it",
    "refused": "correct the port in CAMERA, and turn RTSP on in the camera",
    "unknown_host": "correct the host in CAMERA, or use its address",
    "no_route": "check the camera's network",
    "no_answer": "check the camera's power and network",
}


async def check_camera(name: str, camera: CameraSettings, picture: str) -> Finding:
    """What the detector says if it runs, for a webcam can be opened once only; else a try.

    name: as the detector's health calls the camera. picture: file to write a picture to, in the
    latter case; empty for none.
    """
    said = await asyncio.to_thread(_ask_detector)
    if said is not None:
        return _judge(name, said)
    options = camera.camera_options
    try:
        report = await probe(options)
    except SourceError as error:
        remedy = _REMEDIES.get(error.reason, "docs/operations.md explains the word in brackets")
        return fail(f"{options.shown}: {error}", remedy, error.reason)
    height, width = report.picture.shape
    seen = crop.prepare(report.picture, camera.rotate, camera.mask)
    if picture:
        write_picture(Path(picture), seen.bgr)
    elif sys.stdout.isatty():
        sys.stdout.write(render(seen.bgr))
    rate = f", {report.rate:.1f} frames a second" if report.rate is not None else ""
    sees = f"; {picture} shows what it sees" if picture else ""
    return ok(f"{width}x{height}{rate}, first frame after {report.first_after:.1f} s{sees}")


@functools.cache  # one answer speaks of all cameras, and a name that does not resolve takes time
def _ask_detector() -> dict[str, Any] | None:
    """The answer of /healthz of the detector that runs beside this; None if no detector runs."""
    for address in DETECTORS:
        connection = http.client.HTTPConnection(address, timeout=3)
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            connection.request("GET", "/healthz")
            said = json.loads(connection.getresponse().read())
            if said.get("service") == "detector":
                return dict(said)
    return None


def _judge(name: str, said: dict[str, Any]) -> Finding:
    reason = said["reasons"].get(name, "")
    if reason == "opening":
        return warn("the running detector is opening it", "ask again", reason)
    if reason:
        remedy = _REMEDIES.get(reason, "docs/operations.md explains the word in brackets")
        return fail("the running detector reports a problem with it", remedy, reason)
    return ok(f"the running detector gets frames; to see them: {_PREVIEW}")


def render(image: Image) -> str:
    """A picture for a terminal: two pixels a character, upper half and lower half.

    image: H x W x 3, BGR.
    """
    height, width = image.shape[:2]
    columns = min(_COLUMNS, os.get_terminal_size().columns if sys.stdout.isatty() else _COLUMNS)
    rows = max(1, round(columns * height / width / 2))
    small = cv2.resize(image, (columns, 2 * rows), interpolation=cv2.INTER_AREA)
    lines = []
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        cells = (
            f"\x1b[38;2;{r};{g};{b}m\x1b[48;2;{r2};{g2};{b2}m\N{UPPER HALF BLOCK}"
            for (b, g, r), (b2, g2, r2) in zip(upper.tolist(), lower.tolist(), strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m\n")
    return "".join(lines)
