"""From frame to object, with the demo's parts: time, and the peak memory of each service.

Run: `python -m bench.pipeline`. The bundled clip plays as if live, once as it is and once scaled
up to 1080p. Beside it, in the same run, the SDK alone puts objects of the same size into the same
store: what no pipeline around it can be faster than.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import ibm_boto3
from ibm_botocore.client import Config

from bench.memory import Peaks
from bench.report import Figure, percentile, tell
from demo import watch
from demo.__main__ import CLIP
from demo.stack import BUCKET, Stack

MEBI = 1024 * 1024
TARGET_MS = 100.0  # beyond detection
TARGET_MB = {"detector": 250.0, "forwarder": 80.0, "processor": 80.0}


def scaled_up(folder: Path, width: int = 1920, height: int = 1080) -> Path:
    """The bundled clip at another size."""
    path = folder / f"clip-{height}.mp4"
    source = cv2.VideoCapture(str(CLIP))
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), codec, source.get(cv2.CAP_PROP_FPS), (width, height))
    while True:
        ok, image = source.read()
        if not ok:
            break
        writer.write(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC))
    writer.release()
    return path


def alone(stack: Stack, body: bytes, count: int = 100) -> list[float]:
    """Seconds of each PUT by the SDK, one after the other, with nothing around it."""
    client = ibm_boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{stack.ports['store']}",
        aws_access_key_id=stack.credentials[0],
        aws_secret_access_key=stack.credentials[1],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    took = []
    for index in range(count):
        began = time.perf_counter()
        client.put_object(Bucket=BUCKET, Key=f"bench/{index}", Body=body, ContentType="image/png")
        took.append(time.perf_counter() - began)
    return took


def play(camera: Path, label: str, seconds: float) -> list[Figure]:
    """Play `camera` through the pipeline for `seconds`, and measure."""
    with (
        tempfile.TemporaryDirectory() as data,
        Stack(Path(data), str(camera), "every", once=False) as stack,
    ):
        arrivals = watch.Arrivals(stack.ports["cloud"], remember=100_000)
        stack.start_detector()
        with Peaks(stack.pids) as memory:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                stack.check()
                time.sleep(0.2)
        times = [1000 * took for took in arrivals.seconds]
        detect = 1000 * watch.mean(stack.ports["detector"], "facepipe_detector_detect_seconds")
        commits = [
            1000 * watch.bound(stack.ports["detector"], "facepipe_detector_commit_seconds", share)
            for share in (0.5, 0.99, 1.0)
        ]
        puts = [
            1000 * took for took in alone(stack, (stack.bucket / arrivals.keys[-1]).read_bytes())
        ]
        arrivals.close()
    median = statistics.median(times)
    return [
        Figure(f"{label}: faces measured", len(times), "faces"),
        Figure(f"{label}: frame to object, median", median, "ms"),
        Figure(f"{label}: frame to object, p99", percentile(times, 0.99), "ms"),
        Figure(f"{label}: frame to commit, half of them within", commits[0], "ms"),
        Figure(f"{label}: frame to commit, 99 % within", commits[1], "ms"),
        Figure(f"{label}: frame to commit, all within", commits[2], "ms"),
        Figure(f"{label}: detection, mean per frame", detect, "ms"),
        Figure(f"{label}: median beyond detection", median - detect, "ms", TARGET_MS),
        Figure(f"{label}: the SDK's PUT alone, median", statistics.median(puts), "ms"),
        *(
            Figure(f"{label}: peak memory, {name}", peak / MEBI, "MiB", TARGET_MB[name])
            for name, peak in memory.peaks.items()
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    parser.add_argument("--seconds", type=float, default=32.0, help="of each of the two runs")
    seconds = parser.parse_args().seconds
    figures = play(CLIP, "640x360", seconds)
    with tempfile.TemporaryDirectory() as folder:
        figures += play(scaled_up(Path(folder)), "1080p", seconds)
    tell("pipeline", figures)
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
