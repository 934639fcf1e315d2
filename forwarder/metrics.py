"""The forwarder's metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RECEIVED = Counter(
    "facepipe_forwarder_messages_received_total",
    "Messages received from either broker, by kind (face, status, receipt).",
    ["kind"],
)
RELAYED = Counter(
    "facepipe_forwarder_messages_relayed_total", "Messages relayed to the other broker.", ["kind"]
)
REPLACED = Counter(
    "facepipe_forwarder_messages_replaced_total",
    "Messages that replaced an older copy of the same face or status in the buffer.",
    ["kind"],
)
DROPPED = Counter(
    "facepipe_forwarder_messages_dropped_total",
    "Messages dropped, by reason (full, expired, too_large, refused, shutdown).",
    ["kind", "reason"],
)
BUFFERED = Gauge("facepipe_forwarder_buffer_messages", "Faces waiting for the cloud broker.")
BUFFERED_BYTES = Gauge(
    "facepipe_forwarder_buffer_bytes", "Bytes of faces waiting for the cloud broker."
)
