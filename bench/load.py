"""Loads for the brokers of both compose projects: faces in numbers, and a crowd of strangers."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket
import ssl
import time
from collections.abc import Iterator

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.pictures import picture
from testing.host.wait import until


class Flood:
    """Publishes faces of one device at a broker. Use in `with`."""

    def __init__(self, address: tuple[str, int], topic: str, device: str) -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._address = address
        self._topic = topic
        self._device = device

    def __enter__(self) -> Flood:
        self.client.connect(*self._address, clean_start=True)
        self.client.loop_start()
        until(self.client.is_connected, what="connected")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def send(self, count: int, kilobytes: float, rate: float = 0.0) -> None:
        """So many faces of this size; as fast as the broker takes them, or `rate` a second."""
        pictures = itertools.cycle([picture(kilobytes, seed) for seed in range(8)])
        due = time.monotonic()
        for png in itertools.islice(pictures, count):
            self.client.publish(self._topic, png, 0, properties=self._facts()).wait_for_publish(30)
            if rate:
                due += 1 / rate
                time.sleep(max(0.0, due - time.monotonic()))

    def _facts(self) -> Properties:
        id = secrets.token_hex(16)
        made = Properties(PacketTypes.PUBLISH)
        made.ContentType = "image/png"
        made.ResponseTopic = f"faces/receipts/{self._device}"
        made.CorrelationData = id.encode()
        facts = {"id": id, "device": self._device, "camera": "bench", "frame": "1920x1080"}
        facts |= {"captured": "2026-03-01T12:00:00.000000Z", "engine": "haar", "score": "4.2"}
        made.UserProperty = list(facts.items())
        return made


@contextlib.contextmanager
def crowd(port: int, tls: ssl.SSLContext, count: int) -> Iterator[None]:
    """Connections that have shaken hands, and say nothing more."""
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            plain = all_of_them.enter_context(socket.create_connection(("localhost", port), 10))
            all_of_them.enter_context(tls.wrap_socket(plain, server_hostname="localhost"))
        yield
