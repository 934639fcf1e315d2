"""Who listens at a broker, as the gallery would, whatever happens to it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from types import TracebackType

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

AGAIN = 0.05  # seconds between tries to connect: before any service is back, by its back-off


class Listener:
    """Subscribed to one topic, also after its broker was killed and is back."""

    def __init__(self, port: int, topic: str, heard: Callable[[MQTTMessage], None]) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(topic)
        self._client.on_message = lambda _client, _data, message: heard(message)
        self._client.reconnect_delay_set(AGAIN, AGAIN)  # type: ignore[arg-type]  # any number does
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Stored:
    """Use in `with`: hears what the processor says is stored, on the cloud broker."""

    def __init__(self, cloud: int) -> None:
        self.seconds: dict[str, float] = {}  # from captured to stored, of each face announced
        self.puts = 0  # announcements: more than faces where one was put again under its key
        self._listener = Listener(cloud, "faces/stored", self._heard)

    def __enter__(self) -> Stored:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def _heard(self, message: MQTTMessage) -> None:
        face = json.loads(message.payload)
        moments = [datetime.datetime.fromisoformat(face[name]) for name in ("captured", "stored")]
        self.puts += 1
        self.seconds.setdefault(face["id"], (moments[1] - moments[0]).total_seconds())
