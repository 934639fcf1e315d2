"""A short conversation with a running broker."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessage

from common.mqtt import Broker, connect_client, create_client, explain_error, explain_refusal

# Bytes. A device that is about to be revoked may have retained larger messages: the broker leaves
# them out, and none of them is read.
MAX_PACKET = 64 * 1024
OnMessage = Callable[[Client, MQTTMessage], bool]


class BrokerNotUpdated(Exception):
    """The broker runs, but cannot be reached or does not execute a command."""


def explain_failure(broker: Broker, error: OSError | ValueError) -> BrokerNotUpdated:
    return BrokerNotUpdated(f"the {broker}: {explain_error(error, with_tls=True)}")


def converse(
    broker: Broker,
    tls: ssl.SSLContext,
    topics: str,
    first: tuple[str, bytes],
    on_message: OnMessage,
    deadline: float,
) -> None:
    """Subscribe to `topics`, publish `first`, and receive until `on_message` returns True.

    Args:
        first: topic and payload.
        deadline: by the monotonic clock. Connecting may take a few seconds more.

    Raises:
        BrokerNotUpdated: the broker refuses, or the deadline has passed.
    """
    done: list[bool] = []
    refused: list[BrokerNotUpdated] = []

    def on_connect(_c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        if code.is_failure:
            refused.append(BrokerNotUpdated(f"{broker}: {explain_refusal(code)}"))
        else:
            mqtt.subscribe(topics, qos=1)

    def on_subscribe(_c: Any, _u: Any, _m: Any, codes: list[Any], _p: Any) -> None:
        if codes[0].is_failure:
            text = f"the {broker} does not accept commands from enrolment: {codes[0]}"
            refused.append(BrokerNotUpdated(text))
        else:
            mqtt.publish(*first, qos=1)

    def receive(_c: Any, _u: Any, message: MQTTMessage) -> None:
        if on_message(mqtt, message):
            done.append(True)

    mqtt = create_client(broker, "enroll")
    mqtt.on_connect, mqtt.on_subscribe, mqtt.on_message = on_connect, on_subscribe, receive
    mqtt.tls_set_context(tls)
    mqtt.connect_timeout = max(0.1, min(mqtt.connect_timeout, deadline - time.monotonic()))
    try:
        connect_client(mqtt, broker, MAX_PACKET)
    except (OSError, ValueError) as error:
        raise explain_failure(broker, error) from None
    if not _loop(mqtt, lambda: bool(done or refused), deadline):
        raise BrokerNotUpdated(f"the {broker} closed the connection or did not answer")
    mqtt.disconnect()
    if refused:
        raise refused[0]


def _loop(mqtt: Client, done: Callable[[], bool], deadline: float) -> bool:
    """Whether it is done before the deadline, with the connection still up."""
    while not done():
        if mqtt.loop(0.1) or time.monotonic() > deadline:
            return False
    return True
