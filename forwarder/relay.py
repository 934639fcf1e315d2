"""The relay: faces and status go up, receipts come down, nothing goes in a circle."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from common.mqtt import (
    Ack,
    BatchedCounter,
    Client,
    Message,
    OutboundMessage,
    Presence,
    SendQueue,
    WriteBatcher,
    ignore_ack,
)
from common.protocol.topics import Topics
from common.runtime import allocator
from common.runtime.health import Health
from common.service import FINISH_WITHIN, Service
from common.settings import SettingsError
from forwarder import metrics
from forwarder.settings import ForwarderSettings

RECEIPTS_MAX = 1024 * 1024  # bytes of receipts, and of status, that may wait
STATUS_MAX = 16 * 1024  # bytes of one, with its properties: they are all kept, to be told anew
STATUS_TOPICS_MAX = 200  # services of one box


class Kind:
    """Faces, status or receipts, to be counted."""

    def __init__(self, name: str) -> None:
        turn = WriteBatcher.of(asyncio.get_running_loop())
        self._name = name
        self.received = BatchedCounter(turn, metrics.RECEIVED.labels(name))
        self._relayed = BatchedCounter(turn, metrics.RELAYED.labels(name))

    def settled(self, ack: Ack, reason: str | None) -> None:
        ack()
        if reason is None:
            self._relayed()
        elif reason == "replaced":
            metrics.REPLACED.labels(self._name).inc()
        else:
            metrics.DROPPED.labels(self._name, reason).inc()


class Relay:
    """Wires the edge and the cloud link to each other."""

    def __init__(
        self, settings: ForwarderSettings, edge: Client, cloud: Client, health: Health
    ) -> None:
        self._settings = settings
        self._health = health
        self._face_kind, self._status_kind = Kind("face"), Kind("status")
        self._receipt_kind = Kind("receipt")
        self.faces = SendQueue(cloud, settings.buffer_max_mb * 1024 * 1024)
        self._status_up = SendQueue(cloud, RECEIPTS_MAX)
        self._receipts = SendQueue(edge, RECEIPTS_MAX)
        self._statuses: dict[str, OutboundMessage] = {}
        self.circle: asyncio.Event = asyncio.Event()
        root, device = settings.mqtt_topic, settings.device
        self._status_root = f"{root}/status/{device}/"
        self.own_status = Presence(
            cloud, Topics(root).status(device, "forwarder", "main"), health, self._facts
        )
        # A retained face would come again, as a new one, with each connection.
        edge.subscribe_to(root, retained=False)
        edge.subscribe_to(f"{self._status_root}#")
        edge.on_message = self._from_edge
        edge.manual_ack = True
        edge.on_up.append(self.own_status.publish)
        edge.on_down.append(lambda _reason: self.own_status.publish())
        cloud.subscribe_to(f"{root}/receipts/{device}")
        cloud.on_message = self._from_cloud
        cloud.manual_ack = True
        cloud.on_up.append(self._repeat_statuses)
        metrics.BUFFERED.set_function(lambda: len(self.faces))
        metrics.BUFFERED_BYTES.set_function(lambda: self.faces.bytes)

    def _from_edge(self, message: Message, ack: Ack) -> None:
        if message.topic == self._settings.mqtt_topic:
            self._face(message, ack)
        elif message.topic == self.own_status.topic:
            # It goes to the cloud broker only: what we talk to is one and the same. (An elder one
            # may have stayed with the edge broker from a time of wrong settings.)
            ack()
            if message.payload == self.own_status.last:
                self.circle.set()
        else:
            self._status(message, ack)

    def _face(self, message: Message, ack: Ack) -> None:
        self._face_kind.received()
        if not self.circle.is_set():
            parcel = _to_outbound(message, self._settings.cloud_topic, self._face_kind, ack)
            parcel.key = message.correlation
            self.faces.put(parcel)

    def _status(self, message: Message, ack: Ack) -> None:
        self._status_kind.received()
        parcel = _to_outbound(message, message.topic, self._status_kind, ack)
        parcel.key = message.topic
        parcel.retain = True
        known = message.topic in self._statuses
        if parcel.size > STATUS_MAX or (not known and len(self._statuses) >= STATUS_TOPICS_MAX):
            parcel.settled("too_large")
            return
        self._statuses[message.topic] = parcel
        self._status_up.put(parcel)

    def _repeat_statuses(self) -> None:
        """What was retained, or cleared, while the cloud was away is told anew."""
        again = partial(self._status_kind.settled, ignore_ack)
        for parcel in self._statuses.values():
            self._status_up.put(parcel.again(again))

    def _from_cloud(self, message: Message, ack: Ack) -> None:
        self._receipt_kind.received()
        self._receipts.put(_to_outbound(message, message.topic, self._receipt_kind, ack))

    def _facts(self) -> dict[str, Any]:
        return {"waiting": len(self.faces), "waiting_bytes": self.faces.bytes}

    async def drain(self, until: float) -> None:
        """Wait until everything is sent, or for the time `until` (time.monotonic())."""
        waiting = (self.faces, self._status_up, self._receipts)
        while any(len(part) for part in waiting) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for part in waiting:
            part.clear("shutdown")


def _to_outbound(message: Message, topic: str, kind: Kind, ack: Ack) -> OutboundMessage:
    expiry = message.expiry
    return OutboundMessage(
        topic,
        message.content,
        message.forwarded(),
        expires_at=None if expiry is None else time.monotonic() + expiry,
        settled=partial(kind.settled, ack),
    )


async def run(settings: ForwarderSettings, service: Service) -> int:
    """Relay until told to stop."""
    allocator.keep_freed_memory()
    name, qos = f"forwarder-{settings.device}", settings.mqtt_qos
    edge = Client(settings.broker("edge"), f"{name}-edge", service.health, qos)
    cloud = Client(settings.cloud, name, service.health, qos)
    relay = Relay(settings, edge, cloud, service.health)
    service.spawn(edge.keep_up(), "edge")
    service.spawn(cloud.keep_up(), "cloud")
    service.spawn(relay.own_status.keep_publishing(), "status")
    await service.until_stopped(relay.circle.wait())
    edge.stop_taking()
    patience = 0.0 if relay.circle.is_set() else FINISH_WITHIN - 1.5
    await relay.drain(time.monotonic() + patience)
    relay.own_status.clear()
    await asyncio.gather(cloud.leave(), edge.leave())
    if relay.circle.is_set():
        raise SettingsError(
            ["CLOUD_HOST and MQTT_HOST lead to the same broker: nothing is to be relayed"]
        )
    return 0
