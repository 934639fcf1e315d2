"""The detector's metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FRAMES = Counter("facepipe_detector_frames_total", "Frames that were searched for faces.")
SKIPPED = Counter(
    "facepipe_detector_frames_skipped_total",
    "Frames of a live camera that were not searched, since newer ones had come.",
)
UNREADABLE = Counter(
    "facepipe_detector_images_unreadable_total", "Images of a folder that could not be read."
)
CAMERA_FAILURES = Counter(
    "facepipe_detector_camera_failures_total",
    "Times that the camera failed and was opened again, by reason.",
    ["reason"],
)
CAMERA_ENDED = Gauge("facepipe_detector_camera_ended", "1 when a file has ended, else 0.")
DETECT_SECONDS = Histogram(
    "facepipe_detector_detect_seconds",
    "Seconds of the search in one frame.",
    buckets=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28),
)
ENCODE_SECONDS = Histogram(
    "facepipe_detector_encode_seconds",
    "Seconds to cut out and encode one face.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128),
)
CAPTURED = Counter("facepipe_detector_faces_captured_total", "Faces that were encoded.")
SENT = Counter(
    "facepipe_detector_faces_sent_total", "Faces published and forgotten (DELIVERY=once)."
)
CONFIRMED = Counter(
    "facepipe_detector_faces_confirmed_total", "Faces whose receipt says that they are stored."
)
REJECTED = Counter(
    "facepipe_detector_faces_rejected_total",
    "Faces whose receipt says that they are not wanted, by reason.",
    ["reason"],
)
DROPPED = Counter(
    "facepipe_detector_faces_dropped_total",
    "Faces given up, by reason (full, too_large, refused, expired, shutdown).",
    ["reason"],
)
WAITING = Gauge(
    "facepipe_detector_faces_waiting", "Faces captured and not yet confirmed, sent or given up."
)
WAITING_BYTES = Gauge("facepipe_detector_waiting_bytes", "Bytes of them.")
UNDER_WAY = Gauge("facepipe_detector_faces_under_way", "Faces sent and without receipt.")
RESENT = Counter("facepipe_detector_faces_resent_total", "Faces sent again for want of a receipt.")
MISMATCHES = Counter(
    "facepipe_detector_receipts_mismatched_total",
    "Receipts with another digest than the face's; it was sent again.",
)
ROUND_TRIP = Gauge(
    "facepipe_detector_round_trip_seconds", "Smoothed time from publication to receipt."
)
ENCODE_FAILURES = Counter(
    "facepipe_detector_encode_failures_total", "Faces that OpenCV could not encode."
)
