"""What a checker needs to know of a detector, from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from testing.clips.clips import Image, decode, is_same
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import Received
from testing.services.process import ROOT, Service, scrape

NAMES = ("captured", "confirmed", "sent", "rejected", "dropped", "waiting")


def detector(broker: Mosquitto | int, camera: object, **env: object) -> Service:
    """To be started, with the broker or its port; it captures every face."""
    port = broker if isinstance(broker, int) else broker.port
    env.setdefault("CAPTURE", "every")
    env.setdefault("OUTBOX_PATH", tempfile.mkdtemp(prefix="facepipe-test-outbox-"))
    return Service("detector", DEVICE="box-1", CAMERA=camera, MQTT_PORT=port, **env)


def run(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """One of the commands of `python -m detector`."""
    command = [sys.executable, "-m", "detector", *map(str, arguments)]
    env = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def play(broker: Mosquitto, camera: object, **env: object) -> tuple[list[Received], str]:
    """Play a file to its end: the faces that came, and the log."""
    with Mqtt(broker.port, "faces") as mqtt, detector(broker, camera, **env) as service:
        assert service.wait(60) == 0, service.log
        captured = int(service.says(r"INFO +detector: (\d+) captured")[1])
        until(lambda: len(mqtt.messages) >= captured, what=f"{captured} faces came")
        return mqtt.messages, service.log


def facts(message: Received) -> dict[str, str]:
    known = dict(message.user)
    assert len(known) == len(message.user), "a property stands there twice"
    return known


def is_cut_from(message: Received, frame: Image) -> bool:
    """Whether the PNG shows the frame's pixels in its box."""
    x, y, w, h = map(int, facts(message)["box"].split(","))
    return is_same(decode(message.payload), frame[y : y + h, x : x + w])


def children(service: Service) -> list[int]:
    """The capture processes that run now."""
    pids = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    return [int(pid) for pid in pids]


def child(service: Service) -> int | None:
    """The capture process that runs now."""
    return next(iter(children(service)), None)


def gone(pid: int) -> bool:
    """Whether a process has ended (one that nobody has waited for yet has ended too)."""
    try:
        return re.search(r"\) [ZX] ", Path(f"/proc/{pid}/stat").read_text()) is not None
    except OSError:
        return True


class Measured(Protocol):
    """A detector, in a process or in a container."""

    @property
    def url(self) -> str: ...


def books(service: Measured) -> dict[str, float]:
    """The books by one scrape, reasons summed, by name without prefix."""
    families = {family.name: family for family in scrape(service.url)}
    prefix = "facepipe_detector_faces_"
    return {name: sum(s.value for s in families[prefix + name].samples) for name in NAMES}


def balance(books: dict[str, float]) -> bool:
    return books["captured"] == sum(books[name] for name in NAMES[1:])


# Several cameras in one detector.

Tables = Mapping[str, Mapping[str, object]]


def write_cameras(folder: Path, tables: Tables) -> Path:
    """A file of these cameras. JSON's text, numbers and booleans are TOML's, too."""
    path = folder / "cameras.toml"
    lines = [
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(table[key], default=str)}\n" for key in table)
        for name, table in tables.items()
    ]
    path.write_text("\n".join(lines))
    return path


def serve_cameras(broker: Mosquitto | int, folder: Path, tables: Tables, **env: object) -> Service:
    """A detector to be started, with a file of these cameras in the folder."""
    return detector(broker, "", CAMERAS=write_cameras(folder, tables), **env)


def books_of(service: Measured, camera: str) -> dict[str, float]:
    """The books of one camera by one scrape, reasons summed, by name without prefix."""
    families = {family.name: family for family in scrape(service.url)}
    prefix = "facepipe_detector_faces_"
    return {
        name: sum(
            sample.value
            for sample in families[prefix + name].samples
            if sample.labels["camera"] == camera
        )
        for name in NAMES
    }


def frames_of(service: Service, camera: str) -> float:
    """The frames of one camera that were searched."""
    return service.metric("facepipe_detector_frames_total", camera=camera)
