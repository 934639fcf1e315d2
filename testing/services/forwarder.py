"""A forwarder between two brokers."""

from __future__ import annotations

from testing.services.process import Service

DEVICE = "box-1"


def forwarder(edge: int, cloud: int, **settings: object) -> Service:
    """To be started; the ports are those of the brokers, or of proxies before them."""
    ports = {"MQTT_PORT": edge, "CLOUD_HOST": "127.0.0.1", "CLOUD_PORT": cloud}
    return Service("forwarder", **{"DEVICE": DEVICE, **ports, **settings})


def connected(service: Service) -> Service:
    service.says("cloud broker .*: connected")
    service.says("edge broker .*: connected")
    return service
