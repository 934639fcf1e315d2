"""A short talk with a broker that runs."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage

from common.mqtt import Broker, connect_client, create_client, explain_error, explain_refusal

ANSWERED_WITHIN = 10.0  # seconds
# Bytes: whoever is to be cut off may have retained as much as he could, and none of it is read.
MAX_PACKET = 64 * 1024
Heard = Callable[[Client, MQTTMessage], bool]


class NotTold(Exception):
    """The broker runs, but could not be reached or does not do as it should."""


def explained(broker: Broker, error: OSError | ValueError) -> NotTold:
    return NotTold(f"the {broker}: {explain_error(error, with_tls=True)}")


def talk(
    broker: Broker, own: ssl.SSLContext, topics: str, say: tuple[str, bytes], heard: Heard
) -> None:
    """Subscribe to `topics`, publish what there is to say, and listen until `heard` says enough.

    Raises:
        NotTold: we may not, or that does not come.
    """
    enough: list[bool] = []
    refused: list[NotTold] = []

    def connected(_c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        if code.is_failure:
            refused.append(NotTold(f"{broker}: {explain_refusal(code)}"))
        else:
            mqtt.subscribe(topics, qos=1)

    def subscribed(_c: Any, _u: Any, _m: Any, codes: list[Any], _p: Any) -> None:
        if codes[0].is_failure:
            refused.append(NotTold(f"the {broker} does not let us command: {codes[0]}"))
        else:
            mqtt.publish(*say, qos=1)

    def came(_c: Any, _u: Any, message: MQTTMessage) -> None:
        if heard(mqtt, message):
            enough.append(True)

    mqtt = create_client(broker, "enroll")
    mqtt.on_connect, mqtt.on_subscribe, mqtt.on_message = connected, subscribed, came
    mqtt.tls_set_context(own)
    try:
        connect_client(mqtt, broker, MAX_PACKET)
    except (OSError, ValueError) as error:
        raise explained(broker, error) from None
    if not _loops(mqtt, lambda: bool(enough or refused)):
        raise NotTold(f"the {broker} ends the connection or does not answer")
    mqtt.disconnect()
    if refused:
        raise refused[0]


def _loops(mqtt: Client, done: Callable[[], bool]) -> bool:
    """Is it done in time, the connection still there?"""
    deadline = time.monotonic() + ANSWERED_WITHIN
    while not done():
        if mqtt.loop(0.1) or time.monotonic() > deadline:
            return False
    return True
