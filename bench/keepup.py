"""Whether the detector keeps up with a camera: 1080p, 30 frames a second, four people in view.

Run: `python -m bench.keepup` (a minute), or `--seconds 300`; `--engine yunet` for the other engine.
The bundled clip, tiled 2 x 2 at four moments of it, is played from a file at the pace of a camera:
frames that are not asked for in time are skipped and counted, as a webcam's would be.
"""

from __future__ import annotations

import argparse
import collections
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from bench.measure import cpu_seconds, memory
from bench.report import Figure, exit_code, tell
from testing.clips import clips
from testing.mqtt.mosquitto import Mosquitto
from testing.services.process import Service

FPS = 30.0
WARM = 10.0  # seconds until memory and caches have settled
TARGET_SKIPPED, TARGET_GROWTH = 5.0, 10.0  # per cent
COUNTS = ("frames", "frames_skipped", "faces_captured")


def crowd(folder: Path) -> Path:
    """A clip of 1920x1080 in which the bundled portrait is in view four times."""
    images = [cv2.resize(image, (960, 540)) for image in clips.frames()]
    count = len(images)

    def tile(index: int, corner: int) -> clips.Image:
        image = images[(index + corner * count // 4) % count]
        return np.asarray(cv2.flip(image, 1) if corner % 2 else image, np.uint8)

    return clips.write(
        folder / "crowd.mp4",
        (
            np.vstack([np.hstack([tile(i, 0), tile(i, 1)]), np.hstack([tile(i, 2), tile(i, 3)])])
            for i in range(count)
        ),
        fps=FPS,
    )


def counts(service: Service) -> collections.Counter[str]:
    return collections.Counter(
        {name: int(service.metric(f"facepipe_detector_{name}_total")) for name in COUNTS}
    )


def measure(camera: Path, folder: Path, engine: str, seconds: float) -> list[Figure]:
    settings = {
        "CAMERA": camera,
        "CAMERA_LOOP": 1,
        "CAMERA_FPS": FPS,
        "ENGINE": engine,
        "DELIVERY": "once",
    }
    with (
        Mosquitto(folder) as broker,
        Service("detector", DEVICE="box-1", MQTT_PORT=broker.port, **settings) as service,
    ):
        service.says("delivers frames of 1920x1080")
        time.sleep(WARM)
        began, before, cpu = time.monotonic(), counts(service), cpu_seconds(service.pid)
        samples = []
        while time.monotonic() - began < seconds:
            time.sleep(1.0)
            samples.append(memory(service.pid))
        lasted = time.monotonic() - began
        seen = counts(service) - before
        cpu = cpu_seconds(service.pid) - cpu
    looked_at, skipped = seen["frames"], seen["frames_skipped"]
    part = max(1, len(samples) // 5)
    first, last = statistics.median(samples[:part]), statistics.median(samples[-part:])
    share = 100 * skipped / (looked_at + skipped)
    return [
        Figure(f"{engine}: frames looked at", looked_at / lasted, "1/s"),
        Figure(f"{engine}: frames skipped", share, "%", TARGET_SKIPPED),
        Figure(f"{engine}: frames neither looked at nor counted", _missing(seen, lasted), "%", 2.0),
        Figure(f"{engine}: faces sent", seen["faces_captured"] / lasted, "1/s"),
        Figure(f"{engine}: CPU of the detector, without the capture", 100 * cpu / lasted, "%"),
        Figure(f"{engine}: memory at the end", last, "MiB"),
        Figure(f"{engine}: growth of it", 100 * (last / first - 1), "%", TARGET_GROWTH),
    ]


def _missing(seen: collections.Counter[str], lasted: float) -> float:
    """Of the frames that were due; the two ends of the time may miss one each."""
    due = FPS * lasted
    return 100 * abs(due - seen["frames"] - seen["frames_skipped"]) / due


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.keepup", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--engine", choices=("haar", "yunet"), default="haar")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        camera = crowd(Path(folder))
        figures = measure(camera, Path(folder), options.engine, options.seconds)
    tell("keepup", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
