"""How many cameras one detector holds: 1080p in H.264 by RTSP, at the pace of cameras.

Run: `python -m bench.cameras`, with ffmpeg and GStreamer's RTSP server; `--counts 2,4` takes those.
A person is in view a tenth of the time, then always. A count holds if fewer than 2 % of the frames
are skipped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.measure import Meter
from bench.report import Figure, exit_code, tell
from testing.clips import clips
from testing.host.memory import GIVEN_BACK
from testing.mqtt.mosquitto import Mosquitto
from testing.network.rtsp import Rtsp
from testing.services.detector import Tables, serve_cameras

FPS = 15
WARM = 12.0  # seconds until all cameras are open and caches have settled
HELD, SHARES = 2.0, {"a tenth": 0.1, "always": 1.0}  # per cent skipped; time with a person in view
CYCLE = 10.0  # seconds
TARGETS = {"a tenth": 8, "always": 4}
LARGEST = 45.0  # MiB of a further camera
SERVED = "filesrc location={} ! qtdemux ! h264parse config-interval=1 ! rtph264pay name=pay0"


def film(folder: Path, share: float, seconds: float) -> Path:
    """A clip in which the bundled portrait is in view for this share of each cycle."""
    people = clips.faces(40)
    empty = np.full_like(people[0], 120)
    frames = round(CYCLE * FPS)
    scene = (people[i % 40] if i < share * frames else empty for i in range(frames))
    short = clips.write(folder / "cycle.avi", scene, "MJPG", FPS)
    path = folder / f"{share}.mp4"
    command = ["ffmpeg", "-v", "error", "-stream_loop", str(round(seconds / CYCLE))]
    command += ["-i", str(short)]
    command += ["-vf", "scale=1920:1080,noise=alls=4:allf=t", "-c:v", "libx264", "-g", str(FPS)]
    command += ["-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)
    return path


def measure(url: str, folder: Path, count: int, seconds: float) -> tuple[float, float, float]:
    """Per cent of the frames that were skipped; cores and MiB of the detector."""
    tables: Tables = {f"camera-{number}": {"source": url} for number in range(count)}
    settings = {"CAPTURE": "interval", **GIVEN_BACK}
    with Mosquitto(folder) as broker, serve_cameras(broker, folder, tables, **settings) as service:
        time.sleep(WARM)
        names = [f"facepipe_detector_frames_{name}total" for name in ("", "skipped_")]
        before = [service.metric(name) for name in names]
        with Meter({"detector": service.pid}) as meter:
            time.sleep(seconds)
        searched, skipped = (service.metric(n) - b for n, b in zip(names, before, strict=True))
    share = 100 * skipped / max(1, searched + skipped)
    return share, meter.core("detector"), meter.peak("detector")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cameras", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--counts", default="1,2,4,6,8")
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for view, share in SHARES.items():
            clip = film(folder, share, 2 * (WARM + options.seconds))
            taken = {}
            for count in counts:
                with Rtsp(SERVED.format(clip)) as server:
                    taken[count] = measure(server.url, folder, count, options.seconds)
                skipped, cores, size = taken[count]
                what = f"{view}, {count} cameras"
                figures.append(Figure(f"{what}: frames skipped", skipped, "%"))
                figures.append(Figure(f"{what}: CPU of each", 100 * cores / count, "%"))
                figures.append(Figure(f"{what}: memory", size, "MiB"))
            held = max((count for count in counts if taken[count][0] < HELD), default=0)
            figures.append(Figure(f"{view}: cameras held", held, "", TARGETS[view], "at least"))
            if len(counts) > 1:
                first, last = counts[0], counts[-1]
                more = (taken[last][2] - taken[first][2]) / (last - first)
                figures.append(Figure(f"{view}: a further camera", more, "MiB", LARGEST))
    tell("cameras", figures)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
