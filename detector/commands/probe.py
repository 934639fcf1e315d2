"""`python -m detector --probe SOURCE`: whether a camera opens, what it is, and what it sees."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.settings import SettingsError, read
from detector.camera_settings import CameraSettings
from detector.capture.camera_options import CameraOptions
from detector.capture.capture_process import OPEN_WITHIN, open_process
from detector.capture.producer import SourceError
from detector.commands.image import write_picture
from detector.encoding import crop
from detector.picture import Picture
from detector.settings import DetectorSettings

_SUFFIXES = (".jpeg", ".jpg", ".png")
_KINDS = {"device": "webcam", "video": "file", "images": "pictures"}


@dataclasses.dataclass(frozen=True)
class ProbeReport:
    """What the capture process found.

    form: what the frame producer says of the source.
    first_after: seconds from opening it to its first frame.
    rate: frames a second, measured; None if there was only one frame.
    """

    picture: Picture
    form: Mapping[str, str]
    first_after: float
    rate: float | None


def print_probe(arguments: argparse.Namespace) -> int:
    """Print what a camera is and write a picture of it; returns 1 if that fails.

    `ROTATE` and `MASK` apply to the picture.

    Raises:
        SettingsError: a setting is wrong, or the picture's name.
    """
    camera = _choose_camera(arguments.probe)
    picture = _choose_picture(arguments.picture)
    options = camera.camera_options
    sys.stderr.write(f"detector: opening {options.shown}, which may take up to 30 s\n")
    try:
        report = asyncio.run(_probe_until_signal(options))
    except SourceError as error:
        sys.stderr.write(f"detector: camera {options.shown}: {error} ({error.reason})\n")
        return 1
    except asyncio.CancelledError:
        return 128 + signal.SIGINT
    seen = crop.prepare(report.picture, camera.rotate, camera.mask)
    written = write_picture(picture, seen.bgr)
    rows = _to_rows(options, report) | ({"picture": str(picture)} if written else {})
    sys.stdout.write("".join(f"{name:<16}{value}\n" for name, value in rows.items()))
    return 0 if written else 1


def _choose_camera(source: str) -> CameraSettings:
    """The camera of the settings that is called `source`, or one with that source.

    Raises:
        SettingsError: a setting is wrong, or it must be said which of several cameras to probe.
    """
    environ = dict(os.environ)
    if environ.get("CAMERAS"):
        cameras = {camera.table: camera for camera in read(DetectorSettings, environ).cameras}
        if source in cameras:
            return cameras[source]
        if not source and len(cameras) > 1:
            raise SettingsError([f"--probe: say which camera: {', '.join(cameras)}"])
    if source:
        environ |= {"CAMERA": source, "CAMERA_FILE": "", "CAMERAS": ""}
    return read(DetectorSettings, environ).cameras[0]


def _choose_picture(name: str | None) -> Path:
    path = Path(name or "probe.png")
    if path.suffix.lower() not in _SUFFIXES:
        raise SettingsError([f"--picture: {path} must end with one of {', '.join(_SUFFIXES)}"])
    if not path.parent.is_dir():
        raise SettingsError([f"--picture: there is no folder {path.parent}"])
    return path


async def _probe_until_signal(options: CameraOptions) -> ProbeReport:
    """Probe; Ctrl-C cancels it, so that the capture process and its children end, too."""
    probing = asyncio.ensure_future(probe(options))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, probing.cancel)
    return await probing


async def probe(options: CameraOptions) -> ProbeReport:
    """Open a camera in a capture process, and look at it for some two seconds.

    Raises:
        SourceError: it does not open, or gives no frame in time.
    """
    patience = OPEN_WITHIN
    first_after = 0.0
    async with open_process(options, probe=True) as process:
        while (answer := await process.answer(patience))["kind"] != "frame":
            if answer["kind"] == "opened":
                patience = options.timeout + 1 / answer["fps"]
            elif answer["kind"] == "first":
                first_after = answer["after"]
        picture = process.read_frame(answer).picture
    return ProbeReport(picture, answer["form"], first_after, answer["rate"])


def _to_rows(options: CameraOptions, report: ProbeReport) -> dict[str, Any]:
    height, width = report.picture.shape
    kind = options.source.kind
    return {
        "camera": options.shown,
        "kind": _KINDS.get(kind, kind),
        **report.form,
        "size": f"{width}x{height}",
        "rate measured": "-" if report.rate is None else f"{report.rate:.1f} a second",
        "first frame": f"after {report.first_after:.2f} s",
    }
