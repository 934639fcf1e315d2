"""The metrics that every service has; each service's own are in its `metrics.py`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, disable_created_metrics

from common import __version__

disable_created_metrics()  # they would double the number of series, unused


BUILD = Gauge("facepipe_build_info", "Always 1; the label gives the version.", ["version"])
BUILD.labels(__version__).set(1)

CONNECTED = Gauge("facepipe_mqtt_connected", "1 while connected to the broker, else 0.", ["broker"])
CONNECTIONS = Counter(
    "facepipe_mqtt_connections_total", "Successful connections to the broker.", ["broker"]
)
LOST = Counter(
    "facepipe_mqtt_failures_total",
    "Connections to the broker that failed or were lost, by reason.",
    ["broker", "reason"],
)
CERTIFICATE_ENDS = Gauge(
    "facepipe_certificate_expiration_timestamp_seconds",
    "Unix time at which a certificate expires: the service's own, the broker's as last seen, or the"
    " trusted authority's (whose: own, broker, authority).",
    ["broker", "whose"],
)
REFUSED = Counter(
    "facepipe_mqtt_messages_refused_total",
    "Messages acknowledged without being read, by reason (properties: too many properties).",
    ["reason"],
)
ERRORS = Counter(
    "facepipe_errors_total",
    "Messages that could not be handled because of a bug (see the log).",
    ["reason"],
)


def total(counter: Counter) -> int:
    """The value of a counter without labels, which its library exposes only as a sample."""
    return int(next(iter(counter.collect())).samples[0].value)
