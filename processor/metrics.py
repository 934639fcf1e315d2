"""The processor's metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECEIVED = Counter("facepipe_processor_faces_received_total", "Faces taken off the broker.")
STORED = Counter("facepipe_processor_faces_stored_total", "Faces written to the bucket.")
STORED_BYTES = Counter("facepipe_processor_stored_bytes_total", "Bytes of them.")
REJECTED = Counter(
    "facepipe_processor_faces_rejected_total",
    "Messages kept under rejected/ and not among the faces, by reason.",
    ["reason"],
)
DUPLICATES = Counter(
    "facepipe_processor_faces_duplicate_total",
    "Copies of a face that is in hand or was answered already; not stored again.",
)
DROPPED = Counter(
    "facepipe_processor_faces_dropped_total",
    "Faces given up without a receipt, by reason (hands_full, rejected_often, refused, shutdown).",
    ["reason"],
)
RETRIES = Counter(
    "facepipe_processor_put_failures_total", "PUT requests that failed, by reason.", ["reason"]
)
RECEIPTS = Counter("facepipe_processor_receipts_total", "Receipts sent, by outcome.", ["outcome"])
RECEIPTS_REFUSED = Counter(
    "facepipe_processor_receipts_refused_total",
    "Receipts not sent, since the Response Topic is not that of the face's device.",
)
IN_HAND = Gauge("facepipe_processor_faces_in_hand", "Faces taken and not stored yet.")
IN_HAND_BYTES = Gauge("facepipe_processor_bytes_in_hand", "Bytes of them.")
PUT_SECONDS = Histogram(
    "facepipe_processor_put_seconds",
    "Seconds of each PUT request that succeeded.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
