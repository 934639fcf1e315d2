"""MQTT 5: a client that stays connected, and a bounded queue in front of it.

This is all that the services use. The modules behind it speak to paho and to the socket.
"""

from __future__ import annotations

from common.mqtt.broker import Broker
from common.mqtt.certificates import DAY, SOON
from common.mqtt.client import Client
from common.mqtt.connect_errors import ConnectionFailed, explain_error, explain_refusal
from common.mqtt.connection import (
    CONNECT_TIMEOUT,
    Ack,
    Connection,
    connect_client,
    create_client,
    ignore_ack,
)
from common.mqtt.message import Message, encode_number, pack_properties
from common.mqtt.presence import Presence
from common.mqtt.send_queue import OutboundMessage, SendQueue
from common.mqtt.tls import check_handshake, client_context, common_name, expiry_of, start_of
from common.mqtt.write_batcher import BatchedCounter, WriteBatcher

__all__ = [
    "CONNECT_TIMEOUT",
    "DAY",
    "SOON",
    "Ack",
    "BatchedCounter",
    "Broker",
    "Client",
    "Connection",
    "ConnectionFailed",
    "Message",
    "OutboundMessage",
    "Presence",
    "SendQueue",
    "WriteBatcher",
    "check_handshake",
    "client_context",
    "common_name",
    "connect_client",
    "create_client",
    "encode_number",
    "expiry_of",
    "explain_error",
    "explain_refusal",
    "ignore_ack",
    "pack_properties",
    "start_of",
]
