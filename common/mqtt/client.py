"""A client keeps one connection to one broker up, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.subscribeoptions import SubscribeOptions

from common import metrics
from common.mqtt import certificates
from common.mqtt.broker import Broker
from common.mqtt.certificates import Certificates
from common.mqtt.connect_errors import ConnectionFailed
from common.mqtt.connection import Ack, Connection
from common.mqtt.message import Message
from common.mqtt.packet_stream import Buffer, Done, ignore_outcome
from common.runtime.backoff import Backoff
from common.runtime.health import Health
from common.runtime.logs import RateLimitedLogger, StateLogger
from common.runtime.workers import Workers

log = logging.getLogger(__name__)

TAKEN_OVER_PAUSE = 30.0  # seconds; two with one client id would else end each other for ever
SHORT, FLAPS = 20.0, 3  # seconds that a short connection lasts; this many in a row are flapping

RENEW_WITHIN = 5.0  # seconds to send what is queued before reconnecting with new TLS files

SEND_RETAINED, NEVER_SEND_RETAINED = 0, 2  # Retain Handling: MQTT 5, section 3.8.3.1


class Client:
    """An MQTT 5 client that reconnects by itself.

    Set `on_message`, `on_up`, `on_down` and `will`, call `subscribe_to`, then run `keep_up()` as
    a task. `qos` is the QoS of subscriptions and the default of `publish`.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        health: Health,
        qos: int = 0,
        backoff: Backoff | None = None,
    ) -> None:
        self.broker = broker
        self.qos = qos
        self.topics: list[tuple[str, SubscribeOptions]] = []
        self.will: tuple[str, bytes] | None = None
        self.on_message: Callable[[Message, Ack], None] = lambda *_: None
        self.on_up: list[Callable[[], None]] = []
        self.on_down: list[Callable[[str], None]] = []
        self._listeners: dict[str, list[Callable[[Message, Ack], None]]] = {}
        self.manual_ack = False  # with QoS 1: a message is acknowledged when `ack` is called
        self._client_id = client_id
        self._health = health
        self._certificates = Certificates(broker, health)
        self._connector = Workers(f"connect-{broker.name}")
        self._connection: Connection | None = None
        self._optional: set[str] = set()
        self._backoff = backoff or Backoff()
        self._limited_log = RateLimitedLogger(log)
        self._up_since = 0.0
        self._short_in_a_row = 0  # connections that did not last
        self._stability_check: asyncio.TimerHandle | None = None
        self._leaving = False
        self._trouble = StateLogger(log, str(broker))
        metrics.CONNECTED.labels(broker.name).set(0)
        health.check(self._check_name, "connecting")

    @property
    def _check_name(self) -> str:
        return f"{self.broker.name}_broker"

    def subscribe_to(self, topic: str, retained: bool = True, optional: bool = False) -> None:
        """Subscribe to `topic` from the next connection on.

        With `retained`, each connection first receives the retained messages there. The broker may
        deny an `optional` subscription.
        """
        # The broker refuses "no local" on shared subscriptions: MQTT 5, section 3.8.3.1.
        options = SubscribeOptions(
            qos=self.qos,
            noLocal=not topic.startswith("$share/"),
            retainAsPublished=True,
            retainHandling=SEND_RETAINED if retained else NEVER_SEND_RETAINED,
        )
        self.topics.append((topic, options))
        if optional:
            self._optional.add(topic)

    def listen_to(
        self, topic: str, listener: Callable[[Message, Ack], None], retained: bool = True
    ) -> None:
        """Subscribe to a topic without wildcards, whose messages go to `listener` alone.

        Of several listeners to one topic each gets every message.
        """
        if topic not in self._listeners:
            self.subscribe_to(topic, retained)
        self._listeners.setdefault(topic, []).append(listener)

    async def keep_up(self) -> None:
        """Connect and reconnect until `leave()` is called or the task is cancelled."""
        while not self._leaving:
            connection = Connection(
                self.broker, self._client_id, self._deliver, self.will, self.manual_ack
            )
            try:
                await connection.open(self._connector, self._certificates.context())
                await self._serve(connection)
                if await self._wait_for_end(connection):
                    continue
                failure = connection.closed.result()
            except ConnectionFailed as error:
                connection.fail(error)
                failure = error
            except asyncio.CancelledError:
                connection.fail(ConnectionFailed("left", "we left"))
                raise
            if self._leaving:
                return
            self._on_lost(failure)
            pause = TAKEN_OVER_PAUSE if failure.reason == "taken_over" else self._backoff.next()
            await asyncio.sleep(pause)

    async def _wait_for_end(self, connection: Connection) -> bool:
        """Wait until the connection ends; True if we ended it ourselves for new TLS files."""
        closed = connection.closed
        while not closed.done():
            await asyncio.wait({closed}, timeout=certificates.CHECK_EVERY)
            check = asyncio.create_task(self._certificates.check_files(self._connector))
            either: set[asyncio.Future[Any]] = {check, closed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                check.cancel()
            elif check.result() and not self._leaving:
                self._connection = None  # new messages wait for the next connection
                await connection.disconnect(RENEW_WITHIN)
                connection.fail(ConnectionFailed("left", "we left"))
                self._on_closed("renewed")
                return True
        return False

    async def _serve(self, connection: Connection) -> None:
        codes = await connection.subscribe(self.topics) if self.topics else []
        for (topic, _), code in zip(self.topics, codes, strict=False):
            if code.is_failure and topic not in self._optional:
                text = f"it denies the subscription to {topic} ({code}); check its access list"
                raise ConnectionFailed("denied", text)
        if connection.closed.done():
            raise connection.closed.result()
        self._certificates.note_broker(connection.certificate)
        self._connection = connection
        self._up_since = time.monotonic()
        if self._short_in_a_row < FLAPS:
            self._report_up()
        else:  # after flapping, the connection has to last before it counts as up
            self._check_stability_in(SHORT)
        metrics.CONNECTED.labels(self.broker.name).set(1)
        metrics.CONNECTIONS.labels(self.broker.name).inc()
        for call in self.on_up:
            call()

    def _check_stability_in(self, seconds: float) -> None:
        if self._stability_check is None:
            loop = asyncio.get_running_loop()
            self._stability_check = loop.call_later(seconds, self._check_stability)

    def _check_stability(self) -> None:
        """Report the connection as up once it has lasted."""
        self._stability_check = None
        missing = SHORT - (time.monotonic() - self._up_since)
        if self.up and missing <= 0:
            self._report_up()
        elif self.up:
            self._check_stability_in(missing)

    def _report_up(self) -> None:
        self._trouble.end("connected")
        self._health.check(self._check_name, None)

    def _explain_flapping(self, failure: ConnectionFailed) -> ConnectionFailed:
        """The same failure, or `flapping` if the last few connections all were short."""
        lasted = time.monotonic() - self._up_since
        self._short_in_a_row = self._short_in_a_row + 1 if lasted < SHORT else 0
        if self._short_in_a_row < FLAPS:
            return failure
        text = (
            f"its connections keep ending within seconds: {failure};"
            f" is there another client with the id {self._client_id!r}?"
        )
        return ConnectionFailed("flapping", text)

    def _on_lost(self, failure: ConnectionFailed) -> None:
        was_up = self.up
        if was_up and failure.reason != "taken_over":
            failure = self._explain_flapping(failure)
        self._trouble.begin(failure.reason, str(failure))
        self._health.check(self._check_name, failure.reason)
        metrics.LOST.labels(self.broker.name, failure.reason).inc()
        if was_up:
            self._backoff.record_uptime(time.monotonic() - self._up_since)
            self._on_closed(failure.reason)

    def _on_closed(self, reason: str) -> None:
        self._connection = None
        metrics.CONNECTED.labels(self.broker.name).set(0)
        for call in self.on_down:
            call(reason)

    def _deliver(self, message: Message, ack: Ack) -> None:
        try:
            for listener in self._listeners.get(message.topic, [self.on_message]):
                listener(message, ack)
        except Exception as error:  # noqa: BLE001 - it is logged with its traceback
            # A bug that one message triggers must not cost the others; it is logged and counted.
            text = f"a message of {len(message.content)} bytes could not be handled"
            self._limited_log.error("fault", text, error)
            metrics.ERRORS.labels("message").inc()

    @property
    def up(self) -> bool:
        return self._connection is not None

    @property
    def certificate_days(self) -> float | None:
        """Days until the first of this connection's certificates expires; None without TLS."""
        return self._certificates.days_left()

    @property
    def max_packet(self) -> int:
        """Size in bytes of the largest packet that the broker accepts; 0 while not connected."""
        return self._connection.max_packet if self._connection else 0

    def publish(
        self,
        topic: str,
        payload: Buffer,
        *,
        qos: int | None = None,
        retain: bool = False,
        properties: bytes = b"",
        done: Done = ignore_outcome,
    ) -> bool:
        """Send one message; False, and nothing is queued, while not connected.

        `properties` is their encoding without the leading length. `done` is called once the
        message has left, unless the connection ends before that.
        """
        if self._connection is None:
            return False
        qos = self.qos if qos is None else qos
        self._connection.publish(topic, payload, done, qos, retain, properties)
        return True

    def unsubscribe_all(self) -> None:
        """Unsubscribe from everything, so that messages in progress can be finished."""
        if self._connection is not None and self.topics:
            self._connection.unsubscribe([topic for topic, _ in self.topics])

    async def leave(self, timeout: float = 1.0) -> None:
        """Disconnect permanently, and cleanly if that takes less than `timeout` seconds."""
        self._leaving = True
        if self._connection is not None:
            await self._connection.disconnect(timeout)
