"""A plain MQTT client for tests: what a stranger, a checker or another device would be."""

from __future__ import annotations

import socket
import ssl
import threading
from types import TracebackType
from typing import Self, TypedDict, Unpack

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from testing.host.wait import until
from testing.mqtt.received import PublishProperties, Received


class Login(TypedDict):
    """Give it to a client as `**login`."""

    username: str
    password: str


class Mqtt:
    """Use in `with`; what it subscribed to gathers in `messages`."""

    def __init__(
        self,
        port: int,
        *topics: str,
        username: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        client_id: str = "",
    ) -> None:
        self.messages: list[Received] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
        if username:
            self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_message = lambda _c, _u, message: self.take(Received.of(message))
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port, clean_start=True)
        self._client.loop_start()
        if topics:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            until(self._client.is_connected, what="connected")
            self._client.subscribe([(topic, options) for topic in topics])
            assert self._subscribed.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # Or the two hold each other, and paho's own pair of sockets is left to the collector.
        self._client.on_message = self._client.on_subscribe = None

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        user: list[tuple[str, str]] | None = None,
        **properties: Unpack[PublishProperties],
    ) -> None:
        made = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(made, name, value)
        if user:
            made.UserProperty = user
        self._client.publish(topic, payload, qos, retain, made).wait_for_publish(10)

    def send_raw(self, packets: bytes) -> None:
        """Packets as they are, past paho, as fast as the link takes them; QoS 0 only."""
        self._client.loop_stop()
        link = self._client.socket()
        assert isinstance(link, socket.socket)
        link.setblocking(True)
        link.sendall(packets)

    def take(self, message: Received) -> None:
        """What to do with a message; paho's thread calls it."""
        self.messages.append(message)

    def on(self, topic: str) -> list[Received]:
        return [message for message in self.messages if message.topic == topic]
