"""The detector's metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from detector.outbox.accounting import Accounts

FRAMES = Counter("facepipe_detector_frames_total", "Frames that were searched for faces.")
SKIPPED = Counter(
    "facepipe_detector_frames_skipped_total",
    "Frames of a live camera that were not searched, because newer ones had arrived.",
)
UNREADABLE = Counter(
    "facepipe_detector_images_unreadable_total", "Images of a folder that could not be read."
)
CAMERA_FAILURES = Counter(
    "facepipe_detector_camera_failures_total",
    "Times that the camera failed and was reopened, by reason.",
    ["reason"],
)
CAMERA_ENDED = Gauge("facepipe_detector_camera_ended", "1 once a file has ended, else 0.")
DETECT_SECONDS = Histogram(
    "facepipe_detector_detect_seconds",
    "Seconds to search one frame for faces.",
    buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28),
)
ENCODE_SECONDS = Histogram(
    "facepipe_detector_encode_seconds",
    "Seconds to cut out and encode one face.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128),
)
COMMIT_SECONDS = Histogram(
    "facepipe_detector_commit_seconds",
    "Seconds from a frame until its face is safe on disk; until then, a power cut loses it.",
    buckets=(0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.48, 0.64, 0.96, 1.28, 2.56),
)


class _Faces(Collector):
    """The accounts, all at one moment: separate metrics would be read one after the other."""

    of: Accounts | None = None  # no figures, rather than wrong ones, until the outbox is open

    def collect(self) -> Iterator[Metric]:
        facts = self.of.figures() if self.of else {}
        for name, meaning in (
            ("captured", "Faces captured."),
            ("sent", "Faces published without waiting for a receipt (DELIVERY=once)."),
            ("confirmed", "Faces that are stored, according to their receipt."),
        ):
            yield CounterMetricFamily(_NAME + name, meaning, facts.get(name))
        for name, meaning in (
            ("rejected", "Faces that were rejected, according to their receipt, by reason."),
            ("dropped", "Faces dropped, by reason (full, too_large, refused, expired, shutdown)."),
        ):
            family = CounterMetricFamily(_NAME + name, meaning, labels=["reason"])
            for reason, count in facts.get(name, {}).items():
                family.add_metric([reason], count)
            yield family
        meaning = "Faces captured and not yet confirmed, rejected, sent or dropped."
        yield GaugeMetricFamily(_NAME + "waiting", meaning, facts.get("waiting"))


_NAME = "facepipe_detector_faces_"
FACES = _Faces()
REGISTRY.register(FACES)
WAITING_BYTES = Gauge("facepipe_detector_waiting_bytes", "Total bytes of the waiting faces.")
UNDER_WAY = Gauge("facepipe_detector_faces_under_way", "Faces in flight: sent, without a receipt.")
RESENT = Counter(
    "facepipe_detector_faces_resent_total", "Faces sent again because no receipt arrived."
)
MISMATCHES = Counter(
    "facepipe_detector_receipts_mismatched_total",
    "Receipts whose digest does not match the face; the face was sent again.",
)
ROUND_TRIP = Gauge(
    "facepipe_detector_round_trip_seconds", "Smoothed seconds from publication to receipt."
)
ENCODE_FAILURES = Counter(
    "facepipe_detector_encode_failures_total", "Faces that OpenCV could not encode."
)
PREVIEW_VIEWERS = Gauge("facepipe_detector_preview_viewers", "Viewers of the live preview.")
PREVIEW_REFUSED = Counter(
    "facepipe_detector_preview_refused_total",
    "Requests for the live preview that were refused, by reason (password, host, origin, viewers).",
    ["reason"],
)
