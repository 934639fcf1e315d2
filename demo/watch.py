"""What the demo counts: faces captured, as the detector says; faces stored, as the cloud says."""

from __future__ import annotations

import dataclasses
import datetime
import json
import statistics
import urllib.request
from collections import deque
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

RECENT = 200  # faces over which the median is taken


@dataclasses.dataclass(frozen=True)
class Books:
    """The detector's books, and how far its camera is, from its /metrics."""

    frames: int = 0
    captured: int = 0
    confirmed: int = 0
    rejected: int = 0
    dropped: int = 0
    waiting: int = 0
    ended: bool = False


def _samples(port: int) -> list[Sample]:
    """What a service's /metrics says now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
        text = answer.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _metrics(port: int) -> dict[str, float]:
    """A service's metrics by name, summed over their labels; none while it does not answer."""
    sums: dict[str, float] = {}
    try:
        for sample in _samples(port):
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    except OSError:
        return {}
    return sums


def mean(port: int, histogram: str) -> float:
    """The mean of what a histogram has seen."""
    sums = _metrics(port)
    return sums[f"{histogram}_sum"] / sums[f"{histogram}_count"]


def bound(port: int, histogram: str, share: float) -> float:
    """The least of a histogram's bounds that this share of what it has seen is within."""
    name = f"{histogram}_bucket"
    buckets = [sample for sample in _samples(port) if sample.name == name]
    counts = sorted((float(sample.labels["le"]), sample.value) for sample in buckets)
    return next(limit for limit, count in counts if count >= share * counts[-1][1])


def books(port: int) -> Books:
    """Ask the detector; zeros while it does not answer yet."""
    sums = _metrics(port)
    prefix = "facepipe_detector_faces_"
    return Books(
        frames=int(sums.get("facepipe_detector_frames_total", 0)),
        captured=int(sums.get(f"{prefix}captured_total", 0)),
        confirmed=int(sums.get(f"{prefix}confirmed_total", 0)),
        rejected=int(sums.get(f"{prefix}rejected_total", 0)),
        dropped=int(sums.get(f"{prefix}dropped_total", 0)),
        waiting=int(sums.get(f"{prefix}waiting", 0)),
        ended=bool(sums.get("facepipe_detector_camera_ended", 0)),
    )


def troubles(port: int) -> str:
    """What the detector says is wrong, in its own reason words; empty when it is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            reasons = json.load(answer)["reasons"]
    except (OSError, ValueError):
        return ""
    return ", ".join(f"{check.replace('_', ' ')} {reason}" for check, reason in reasons.items())


class Arrivals:
    """Listens to `faces/stored` on the cloud broker, as the gallery would."""

    def __init__(self, port: int, remember: int = RECENT) -> None:
        self.keys: list[str] = []
        self.seconds: deque[float] = deque(maxlen=remember)  # from frame to bucket, of each
        self._client = Client(CallbackAPIVersion.VERSION2, "demo", protocol=MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("faces/stored")
        self._client.on_message = self._stored
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _stored(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        face = json.loads(message.payload)
        moments = [datetime.datetime.fromisoformat(face[name]) for name in ("captured", "stored")]
        self.seconds.append((moments[1] - moments[0]).total_seconds())
        self.keys.append(face["key"])

    @property
    def median(self) -> float | None:
        """Seconds from frame to bucket, over the latest faces."""
        return statistics.median(self.seconds) if self.seconds else None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def faces_in(bucket: Path) -> set[str]:
    """Keys of the faces in the bucket, which is a plain folder."""
    return {
        str(path.relative_to(bucket))
        for path in bucket.glob("[!.]*/**/*.png")
        if path.relative_to(bucket).parts[0] != "rejected"
    }
