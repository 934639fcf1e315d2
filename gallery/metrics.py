"""The gallery's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REQUESTS = Counter(
    "facepipe_gallery_store_requests_total",
    "Requests to the store, by kind (list, get, head, put, delete, lifecycle).",
    ["kind"],
)
FAILURES = Counter(
    "facepipe_gallery_store_failures_total", "Requests to the store that failed.", ["reason"]
)
INDEXED = Gauge("facepipe_gallery_faces_indexed", "Objects in the index.")
ANNOUNCED = Counter(
    "facepipe_gallery_faces_announced_total", "Faces announced as stored by processors."
)
UNREADABLE = Counter(
    "facepipe_gallery_announcements_unreadable_total",
    "Invalid messages on faces/stored, which were ignored.",
)
THUMBS = Counter("facepipe_gallery_thumbnails_made_total", "Thumbnails created.")
NO_THUMBS = Counter(
    "facepipe_gallery_thumbnails_failed_total",
    "Pictures for which no thumbnail could be created, by reason.",
    ["reason"],
)
THUMB_BYTES = Gauge("facepipe_gallery_thumbnails_bytes", "Bytes of thumbnails on disk.")
VIEWERS = Gauge("facepipe_gallery_viewers", "Open pages that receive live updates.")
DELETED = Counter(
    "facepipe_gallery_objects_deleted_total",
    "Objects deleted, by cause (user, retention, again: arrived again after a deletion).",
    ["by"],
)
LOGINS = Counter("facepipe_gallery_logins_total", "Successful attempts to sign in.")
LOGINS_REFUSED = Counter(
    "facepipe_gallery_logins_refused_total",
    "Failed attempts to sign in, by reason (password, limited).",
    ["reason"],
)
REFUSED = Counter(
    "facepipe_gallery_requests_refused_total",
    "Requests refused, by reason (signed_out, origin, read_only, slow, too_large).",
    ["reason"],
)
SESSIONS = Gauge("facepipe_gallery_sessions", "Browsers that are signed in.")
CONNECTIONS = Gauge("facepipe_gallery_connections", "Open connections to the pages.")
CONNECTIONS_REFUSED = Counter(
    "facepipe_gallery_connections_refused_total",
    "Connections closed before a request, by reason (all: too many in total; address: too"
    " many from one address; handshake: TLS failed or took too long).",
    ["reason"],
)
STATUSES_REFUSED = Counter(
    "facepipe_gallery_statuses_refused_total",
    "Status messages ignored, by reason (name, too_large, no_json, no_object, too_many).",
    ["reason"],
)


BROKER_HEAP = Gauge(
    "facepipe_broker_heap_bytes", "Memory of the cloud broker, as counted against memory_limit."
)
BROKER_RETAINED = Gauge(
    "facepipe_broker_retained_messages", "Messages retained by the cloud broker, including its own."
)
BROKER_REFUSED = Gauge(
    "facepipe_broker_device_messages_refused",
    "Messages that the cloud broker has refused since its start because the device exceeded its"
    " rate; only for devices that flood.",
    ["device"],
)


class DeviceFigures(NamedTuple):
    """The figures of one device in /metrics; None for those that are unknown."""

    name: str
    up: bool
    well: bool
    waiting: float | None
    captured: float | None
    rejected: float | None
    dropped: float
    round_trip: float | None
    certificate_ends: float | None


class FleetMetrics(Collector):
    """Eight series for each device; the thread of each scrape calls `look`."""

    def __init__(self) -> None:
        self.look: Callable[[], Iterable[DeviceFigures]] = tuple
        REGISTRY.register(self)

    def collect(self) -> Iterator[Metric]:
        devices = list(self.look())
        for name, text, value in _OF_DEVICE:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=["device"])
            for device in devices:
                number = value(device)
                if number is not None:
                    family.add_metric([device.name], number)
            yield family


_OF_DEVICE: tuple[tuple[str, str, Callable[[DeviceFigures], float | None]], ...] = (
    (
        "facepipe_fleet_device_up",
        "1 while the device reports its status, else 0.",
        lambda device: float(device.up),
    ),
    (
        "facepipe_fleet_device_well",
        "1 while all services of the device report and are well, else 0.",
        lambda device: float(device.well),
    ),
    (
        "facepipe_fleet_faces_waiting",
        "Faces waiting on the device, as last reported.",
        lambda device: device.waiting,
    ),
    (
        "facepipe_fleet_faces_captured_total",
        "Faces captured by the device's detectors, across restarts.",
        lambda device: device.captured,
    ),
    (
        "facepipe_fleet_faces_rejected_total",
        "Faces of the device that were rejected, according to their receipts.",
        lambda device: device.rejected,
    ),
    (
        "facepipe_fleet_faces_dropped_total",
        "Faces dropped by the device's services; a copy dropped by the forwarder is resent.",
        lambda device: device.dropped,
    ),
    (
        "facepipe_fleet_round_trip_seconds",
        "Seconds from publication to receipt, for the slowest of the device's detectors.",
        lambda device: device.round_trip,
    ),
    (
        "facepipe_fleet_certificate_expiration_timestamp_seconds",
        "Unix time at which the first of the device's certificates expires.",
        lambda device: device.certificate_ends,
    ),
)
FLEET = FleetMetrics()
