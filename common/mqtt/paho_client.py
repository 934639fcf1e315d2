"""The paho client of one connection, as all of ours are."""

from __future__ import annotations

from typing import Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.mqtt.broker import Broker
from common.mqtt.packet_stream import MAX_PACKET, PacketStream

KEEPALIVE = 10  # seconds: paho asks after 10 s of silence and gives up after 20 s
CONNECT_TIMEOUT = 5.0  # seconds, for TCP and for TLS; as much again for the broker's answer


class PahoClient(Client):
    """A paho client that finds a `Wire` where it made a socket."""

    def _create_socket(
        self,
    ) -> Any:  # paho's own; tests/integration/common/mqtt/test_packet_stream.py tells if it goes
        return PacketStream(super()._create_socket())  # type: ignore[arg-type] # with TCP it is a socket


def make(
    broker: Broker,
    client_id: str,
    will: tuple[str, bytes] | None = None,
    kind: type[Client] = Client,
) -> Client:
    client = kind(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
    client.connect_timeout = CONNECT_TIMEOUT
    if broker.username:
        client.username_pw_set(broker.username, broker.password or None)
    if will is not None:
        client.will_set(will[0], will[1], qos=0, retain=True)
    return client


def connect(client: Client, broker: Broker) -> None:
    """Resolve, connect, shake hands; blocks.

    Raises:
        OSError, ValueError: see `failures.explained`.
    """
    properties = Properties(PacketTypes.CONNECT)
    properties.MaximumPacketSize = MAX_PACKET
    client.connect(
        broker.host, broker.port, keepalive=KEEPALIVE, clean_start=True, properties=properties
    )
