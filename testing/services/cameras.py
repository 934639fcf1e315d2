"""A detector of several cameras, and what it says of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import NAMES, Measured, detector
from testing.services.process import Service, scrape

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
