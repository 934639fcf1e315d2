"""The forwarder's settings, beside those that all services have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from common.mqtt import Broker
from common.service_settings import ServiceSettings, http_port
from common.settings import file, host, integer, setting, text, topic


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwarderSettings(ServiceSettings):
    http_port: int = http_port(9102)
    cloud_host: str = setting("CLOUD_HOST", host, "host name of the cloud broker")
    cloud_port: int = setting(
        "CLOUD_PORT",
        integer(1, 65535),
        "port of the cloud broker: 8883 TLS, 1883 plain",
        default=8883,
    )
    cloud_topic: str = setting(
        "CLOUD_TOPIC",
        topic,
        "topic of the faces on the cloud broker; with enrolled devices it is faces/from/<DEVICE>",
        default="faces",
    )
    cloud_username: str = setting(
        "CLOUD_USERNAME", text, "user name for the cloud broker", default=""
    )
    cloud_password: str = setting(
        "CLOUD_PASSWORD", text, "password for the cloud broker", default="", secret=True
    )
    cloud_bundle: str = setting(
        "CLOUD_BUNDLE",
        file,
        "authority, certificate and key in one PEM file; turns TLS on",
        default="",
    )
    cloud_ca: str = setting(
        "CLOUD_CA", file, "authority to trust (PEM file); turns TLS on", default=""
    )
    cloud_cert: str = setting("CLOUD_CERT", file, "client certificate (PEM file)", default="")
    cloud_key: str = setting("CLOUD_KEY", file, "key of the certificate (PEM file)", default="")
    buffer_max_mb: int = setting(
        "BUFFER_MAX_MB",
        integer(1, 4096),
        "megabytes of faces buffered in memory during an outage; the oldest are dropped when full",
        default=16,
    )

    @property
    def cloud(self) -> Broker:
        """The cloud broker."""
        return Broker(
            "cloud",
            self.cloud_host,
            self.cloud_port,
            self.cloud_username,
            self.cloud_password,
            self.cloud_ca,
            self.cloud_cert,
            self.cloud_key,
            self.cloud_bundle,
        )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if (self.mqtt_host, self.mqtt_port) == (self.cloud_host, self.cloud_port):
            yield "CLOUD_HOST and MQTT_HOST name the same broker: there is nothing to relay"
        faults = list(self.cloud.problems("CLOUD"))
        yield from faults
        name = None if faults else self.cloud.common_name()
        if name is not None and name != self.device:
            yield f"DEVICE is {self.device!r}, but the cloud certificate belongs to {name!r}"
