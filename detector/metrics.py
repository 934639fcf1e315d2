"""The detector's metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from detector.outbox.accounting import Accounts

OF = ["camera"]  # the label of all that concerns one camera, by its name

FRAMES = Counter("facepipe_detector_frames_total", "Frames that were searched for faces.", OF)
SKIPPED = Counter(
    "facepipe_detector_frames_skipped_total",
    "Frames of a live camera that were not searched, because newer ones had arrived.",
    OF,
)
UNREADABLE = Counter(
    "facepipe_detector_images_unreadable_total",
    "Images of a folder that could not be read.",
    OF,
)
CAMERA_FAILURES = Counter(
    "facepipe_detector_camera_failures_total",
    "Times that the camera failed and was reopened, by reason.",
    [*OF, "reason"],
)
CAMERA_ENDED = Gauge("facepipe_detector_camera_ended", "1 once a file has ended, else 0.", OF)
DETECT_SECONDS = Histogram(
    "facepipe_detector_detect_seconds",
    "Seconds to search one frame for faces.",
    OF,
    buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28),
)
ENCODE_SECONDS = Histogram(
    "facepipe_detector_encode_seconds",
    "Seconds to cut out and encode one face.",
    OF,
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128),
)
COMMIT_SECONDS = Histogram(
    "facepipe_detector_commit_seconds",
    "Seconds from a frame until its face is safe on disk; until then, a power cut loses it.",
    OF,
    buckets=(0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.48, 0.64, 0.96, 1.28, 2.56),
)


class _Faces(Collector):
    """The accounts, all at one moment: separate metrics would be read one after the other."""

    def __init__(self) -> None:
        # By camera. No figures, rather than wrong ones, until its outbox is open.
        self.of: dict[str, Accounts] = {}

    def collect(self) -> Iterator[Metric]:
        facts = {camera: accounts.figures() for camera, accounts in self.of.items()}
        for name, meaning in (
            ("captured", "Faces captured."),
            ("sent", "Faces published without waiting for a receipt (DELIVERY=once)."),
            ("confirmed", "Faces that are stored, according to their receipt."),
        ):
            family = CounterMetricFamily(_NAME + name, meaning, labels=OF)
            for camera, figures in facts.items():
                family.add_metric([camera], figures[name])
            yield family
        for name, meaning in (
            ("rejected", "Faces that were rejected, according to their receipt, by reason."),
            ("dropped", "Faces dropped, by reason (full, too_large, refused, expired, shutdown)."),
        ):
            family = CounterMetricFamily(_NAME + name, meaning, labels=[*OF, "reason"])
            for camera, figures in facts.items():
                for reason, count in figures[name].items():
                    family.add_metric([camera, reason], count)
            yield family
        meaning = "Faces captured and not yet confirmed, rejected, sent or dropped."
        waiting = GaugeMetricFamily(_NAME + "waiting", meaning, labels=OF)
        for camera, figures in facts.items():
            waiting.add_metric([camera], figures["waiting"])
        yield waiting


_NAME = "facepipe_detector_faces_"
FACES = _Faces()
REGISTRY.register(FACES)
WAITING_BYTES = Gauge("facepipe_detector_waiting_bytes", "Total bytes of the waiting faces.", OF)
UNDER_WAY = Gauge(
    "facepipe_detector_faces_under_way", "Faces in flight: sent, without a receipt.", OF
)
RESENT = Counter(
    "facepipe_detector_faces_resent_total",
    "Faces sent again because no receipt arrived.",
    OF,
)
MISMATCHES = Counter(
    "facepipe_detector_receipts_mismatched_total",
    "Receipts whose digest does not match the face; the face was sent again.",
    OF,
)
ROUND_TRIP = Gauge(
    "facepipe_detector_round_trip_seconds",
    "Smoothed seconds from publication to receipt.",
    OF,
)
ENCODE_FAILURES = Counter(
    "facepipe_detector_encode_failures_total", "Faces that OpenCV could not encode.", OF
)
PREVIEW_VIEWERS = Gauge("facepipe_detector_preview_viewers", "Viewers of the live preview.")
PREVIEW_REFUSED = Counter(
    "facepipe_detector_preview_refused_total",
    "Requests for the live preview that were refused, by reason (password, host, origin, viewers).",
    ["reason"],
)


def start(camera: str) -> None:
    """Begin with zeros, since a metric that is not there yet cannot raise an alarm."""
    for metric in (
        *(FRAMES, SKIPPED, UNREADABLE, CAMERA_ENDED, RESENT, MISMATCHES, ENCODE_FAILURES),
        *(DETECT_SECONDS, ENCODE_SECONDS, COMMIT_SECONDS),
        *(WAITING_BYTES, UNDER_WAY, ROUND_TRIP),
    ):
        metric.labels(camera)
