"""A PUBLISH that has come, with its properties by name and type (paho sets them at runtime)."""

from __future__ import annotations

import dataclasses
from typing import TypedDict, cast

from paho.mqtt.client import MQTTMessage


class PublishProperties(TypedDict, total=False):
    """Properties of a PUBLISH, by paho's names: MQTT 5, section 3.3.2.3. User ones are apart."""

    PayloadFormatIndicator: int
    MessageExpiryInterval: int
    ContentType: str
    ResponseTopic: str
    CorrelationData: bytes


@dataclasses.dataclass(frozen=True)
class Received:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    at: float = 0.0  # seconds, by the monotonic clock
    properties: PublishProperties = dataclasses.field(default_factory=PublishProperties)
    user: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, message: MQTTMessage) -> Received:
        given = vars(message.properties) if message.properties else {}
        properties = {
            name: given[name] for name in PublishProperties.__annotations__ if name in given
        }
        return cls(
            message.topic,
            bytes(message.payload),
            message.qos,
            message.retain,
            message.timestamp,
            cast(PublishProperties, properties),
            tuple(given.get("UserProperty", ())),
        )
