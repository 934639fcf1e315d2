"""The settings that every service has: its name, its broker, its port, its log."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Iterator

from common.mqtt import Broker
from common.settings import choice, file, host, integer, name, setting, text, topic

HOST = re.sub(r"[^a-z0-9-]", "-", socket.gethostname().lower()).strip("-")[:63] or "box"


def http_port(default: int, what: str = "/healthz and /metrics") -> int:
    """The field HTTP_PORT, whose default differs from service to service."""
    meaning = f"port for {what}; 0 picks a free one"
    port: int = setting("HTTP_PORT", integer(0, 65535), meaning, default=default)
    return port


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The settings that all services have."""

    device: str = setting("DEVICE", name, "name of this box in topics and keys", default=HOST)
    mqtt_host: str = setting(
        "MQTT_HOST", host, "host name of the broker on this side", default="127.0.0.1"
    )
    mqtt_port: int = setting(
        "MQTT_PORT", integer(1, 65535), "port of the broker: 1883 plain, 8883 TLS", default=1883
    )
    mqtt_topic: str = setting(
        "MQTT_TOPIC", topic, "topic of the faces and root of all other topics", default="faces"
    )
    mqtt_qos: int = setting("MQTT_QOS", integer(0, 1), "QoS of the faces, 0 or 1", default=0)
    mqtt_username: str = setting("MQTT_USERNAME", text, "user name for the broker", default="")
    mqtt_password: str = setting(
        "MQTT_PASSWORD", text, "password for the broker", default="", secret=True
    )
    mqtt_bundle: str = setting(
        "MQTT_BUNDLE",
        file,
        "authority, certificate and key in one PEM file; turns TLS on",
        default="",
    )
    mqtt_ca: str = setting(
        "MQTT_CA", file, "authority to trust (PEM file); turns TLS on", default=""
    )
    mqtt_cert: str = setting("MQTT_CERT", file, "client certificate (PEM file)", default="")
    mqtt_key: str = setting("MQTT_KEY", file, "key of the certificate (PEM file)", default="")
    http_host: str = setting(
        "HTTP_HOST", host, "address to serve /healthz and /metrics on", default="127.0.0.1"
    )
    http_port: int = http_port(0)
    log_level: str = setting(
        "LOG_LEVEL",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
        "lowest level that is logged",
        default="INFO",
    )

    def broker(self, side: str) -> Broker:
        """The broker on the service's own side, named `side` in logs and metrics."""
        return Broker(
            side,
            self.mqtt_host,
            self.mqtt_port,
            self.mqtt_username,
            self.mqtt_password,
            self.mqtt_ca,
            self.mqtt_cert,
            self.mqtt_key,
            self.mqtt_bundle,
        )

    @property
    def health_port(self) -> tuple[str, int]:
        """The setting for the port of /healthz and /metrics, and that port."""
        return "HTTP_PORT", self.http_port

    def problems(self) -> Iterator[str]:
        """Sentences on settings that are wrong together."""
        if self.mqtt_password and not self.mqtt_username:
            yield "MQTT_PASSWORD needs MQTT_USERNAME"
        yield from self.broker("own").problems("MQTT")
