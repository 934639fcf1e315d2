"""The relay: faces and status go up to the cloud, receipts come down, nothing loops."""

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

RECEIPTS_MAX = 1024 * 1024  # bytes of receipts, and of statuses, that may wait
STATUS_MAX = 16 * 1024  # bytes of one status with its properties: all are kept, to be sent again
STATUS_TOPICS_MAX = 200  # services of one box


class KindCounters:
    """Counts one kind of message: faces, statuses or receipts."""

    def __init__(self, kind: str) -> None:
        batcher = WriteBatcher.of(asyncio.get_running_loop())
        self._name = kind
        self.received = BatchedCounter(batcher, metrics.RECEIVED.labels(kind))
        self._relayed = BatchedCounter(batcher, metrics.RELAYED.labels(kind))

    def settle(self, ack: Ack, reason: str | None) -> None:
        """Acknowledge a message and count its outcome; `reason` is None when it was relayed."""
        ack()
        if reason is None:
            self._relayed()
        elif reason == "replaced":
            metrics.REPLACED.labels(self._name).inc()
        else:
            metrics.DROPPED.labels(self._name, reason).inc()


class Relay:
    """Connects the edge broker's client and the cloud broker's with each other."""

    def __init__(
        self, settings: ForwarderSettings, edge: Client, cloud: Client, health: Health
    ) -> None:
        self._settings = settings
        self._health = health
        self._face_counters, self._status_counters = KindCounters("face"), KindCounters("status")
        self._receipt_counters = KindCounters("receipt")
        self.faces = SendQueue(cloud, settings.buffer_max_mb * 1024 * 1024)
        self._status_queue = SendQueue(cloud, RECEIPTS_MAX)
        self._receipts = SendQueue(edge, RECEIPTS_MAX)
        self._statuses: dict[str, OutboundMessage] = {}  # the last one of each topic
        self.loop_detected = asyncio.Event()
        root, device = settings.mqtt_topic, settings.device
        self._status_root = f"{root}/status/{device}/"
        self.own_status = Presence(
            cloud, Topics(root).status(device, "forwarder", "main"), health, self._figures
        )
        # A retained face would arrive as a new one with each connection.
        edge.subscribe_to(root, retained=False)
        edge.subscribe_to(f"{self._status_root}#")
        edge.on_message = self._on_edge_message
        edge.manual_ack = True
        edge.on_up.append(self.own_status.publish)
        edge.on_down.append(lambda _reason: self.own_status.publish())
        cloud.subscribe_to(f"{root}/receipts/{device}")
        cloud.on_message = self._on_cloud_message
        cloud.manual_ack = True
        cloud.on_up.append(self._repeat_statuses)
        metrics.BUFFERED.set_function(lambda: len(self.faces))
        metrics.BUFFERED_BYTES.set_function(lambda: self.faces.bytes)

    def _on_edge_message(self, message: Message, ack: Ack) -> None:
        if message.topic == self._settings.mqtt_topic:
            self._relay_face(message, ack)
        elif message.topic == self.own_status.topic:
            # It is sent to the cloud broker only, so both clients talk to the same broker. (An
            # older one may be left on the edge broker from a time of wrong settings.)
            ack()
            if message.payload == self.own_status.last:
                self.loop_detected.set()
        else:
            self._relay_status(message, ack)

    def _relay_face(self, message: Message, ack: Ack) -> None:
        self._face_counters.received()
        if not self.loop_detected.is_set():
            face = _to_outbound(message, self._settings.cloud_topic, self._face_counters, ack)
            face.key = message.correlation
            self.faces.put(face)

    def _relay_status(self, message: Message, ack: Ack) -> None:
        self._status_counters.received()
        status = _to_outbound(message, message.topic, self._status_counters, ack)
        status.key = message.topic
        status.retain = True
        known = message.topic in self._statuses
        if status.size > STATUS_MAX or (not known and len(self._statuses) >= STATUS_TOPICS_MAX):
            status.on_settled("too_large")
            return
        self._statuses[message.topic] = status
        self._status_queue.put(status)

    def _repeat_statuses(self) -> None:
        """Send every status again: some changed, or were cleared, while the cloud was away."""
        for status in self._statuses.values():
            on_settled = partial(self._status_counters.settle, ignore_ack)
            self._status_queue.put(status.copy(on_settled))

    def _on_cloud_message(self, message: Message, ack: Ack) -> None:
        self._receipt_counters.received()
        self._receipts.put(_to_outbound(message, message.topic, self._receipt_counters, ack))

    def _figures(self) -> dict[str, Any]:
        return {"waiting": len(self.faces), "waiting_bytes": self.faces.bytes}

    async def drain(self, until: float) -> None:
        """Wait until everything is sent, or until the time `until` (of time.monotonic())."""
        queues = (self.faces, self._status_queue, self._receipts)
        while any(len(queue) for queue in queues) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        for queue in queues:
            queue.clear("shutdown")


def _to_outbound(message: Message, topic: str, counters: KindCounters, ack: Ack) -> OutboundMessage:
    expiry = message.expiry
    return OutboundMessage(
        topic,
        message.content,
        message.encode_for_next_hop(),
        expires_at=None if expiry is None else time.monotonic() + expiry,
        on_settled=partial(counters.settle, ack),
    )


async def run(settings: ForwarderSettings, service: Service) -> int:
    """Relay until the service is stopped.

    Raises:
        SettingsError: both settings lead to the same broker.
    """
    allocator.keep_freed_memory()
    name, qos = f"forwarder-{settings.device}", settings.mqtt_qos
    edge = Client(settings.broker("edge"), f"{name}-edge", service.health, qos)
    cloud = Client(settings.cloud, name, service.health, qos)
    relay = Relay(settings, edge, cloud, service.health)
    service.spawn(edge.keep_up(), "edge")
    service.spawn(cloud.keep_up(), "cloud")
    service.spawn(relay.own_status.keep_publishing(), "status")
    await service.until_stopped(relay.loop_detected.wait())
    edge.unsubscribe_all()
    patience = 0.0 if relay.loop_detected.is_set() else FINISH_WITHIN - 1.5
    await relay.drain(time.monotonic() + patience)
    relay.own_status.clear()
    await asyncio.gather(cloud.leave(), edge.leave())
    if relay.loop_detected.is_set():
        raise SettingsError(
            ["CLOUD_HOST and MQTT_HOST lead to the same broker: there is nothing to relay"]
        )
    return 0
