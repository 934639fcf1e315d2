"""The processor's metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECEIVED = Counter("facepipe_processor_faces_received_total", "Faces received from the broker.")
STORED = Counter("facepipe_processor_faces_stored_total", "Faces written to the bucket.")
STORED_BYTES = Counter(
    "facepipe_processor_stored_bytes_total", "Total bytes of faces written to the bucket."
)
REJECTED = Counter(
    "facepipe_processor_faces_rejected_total",
    "Messages stored under rejected/ because they are not valid faces, by reason.",
    ["reason"],
)
DUPLICATES = Counter(
    "facepipe_processor_faces_duplicate_total",
    "Copies of a face that is in progress or already has its receipt; not stored again.",
)
DROPPED = Counter(
    "facepipe_processor_faces_dropped_total",
    "Faces dropped without a receipt, by reason (hands_full, rejected_often, refused, shutdown).",
    ["reason"],
)
REFUSED_OF = Counter(
    "facepipe_processor_device_messages_refused_total",
    "Messages rejected or dropped, by device (the first 100; then `other`) and reason (rejected,"
    " rejected_often, hands_full).",
    ["device", "reason"],
)
RETRIES = Counter(
    "facepipe_processor_put_failures_total", "PUT requests that failed, by reason.", ["reason"]
)
RECEIPTS = Counter("facepipe_processor_receipts_total", "Receipts sent, by outcome.", ["outcome"])
RECEIPTS_REFUSED = Counter(
    "facepipe_processor_receipts_refused_total",
    "Receipts not sent, because the Response Topic does not belong to the face's device.",
)
IN_HAND = Gauge(
    "facepipe_processor_faces_in_hand", "Faces in progress: received and not stored yet."
)
IN_HAND_BYTES = Gauge("facepipe_processor_bytes_in_hand", "Total bytes of the faces in progress.")
PUT_SECONDS = Histogram(
    "facepipe_processor_put_seconds",
    "Duration of each successful PUT request, in seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
