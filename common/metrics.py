"""The metrics that every service has; each service's own stand in its `metrics.py`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, disable_created_metrics

from common import __version__

disable_created_metrics()  # a series per counter that nobody asks for


BUILD = Gauge("facepipe_build_info", "Always 1; the label tells the version.", ["version"])
BUILD.labels(__version__).set(1)

CONNECTED = Gauge(
    "facepipe_mqtt_connected", "1 while the connection to that broker is up, else 0.", ["broker"]
)
CONNECTIONS = Counter(
    "facepipe_mqtt_connections_total", "Connections made to that broker.", ["broker"]
)
LOST = Counter(
    "facepipe_mqtt_failures_total",
    "Connections that failed or were lost, by reason.",
    ["broker", "reason"],
)
CERTIFICATE_ENDS = Gauge(
    "facepipe_certificate_expiration_timestamp_seconds",
    "Unix time at which a certificate ends: our own, the broker's as it was last seen, or that of"
    " the authority we trust (whose: own, broker, authority).",
    ["broker", "whose"],
)
REFUSED = Counter(
    "facepipe_mqtt_messages_refused_total",
    "Messages that were acknowledged and not read, by reason (properties: too many of them).",
    ["reason"],
)
ERRORS = Counter(
    "facepipe_errors_total",
    "Messages that could not be handled because of a fault in this program (see the log).",
    ["reason"],
)


def total(counter: Counter) -> int:
    """What a counter without labels has come to: its library shows it only as a sample."""
    return int(next(iter(counter.collect())).samples[0].value)
