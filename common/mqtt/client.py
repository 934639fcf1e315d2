"""A link keeps one connection to one broker up, whatever happens to it."""

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
from common.runtime.logs import StateLogger
from common.runtime.workers import Workers

log = logging.getLogger(__name__)

TAKEN_OVER_PAUSE = 30.0  # seconds; two with one client id would else end each other for ever
SHORT, FLAPS = 20.0, 3  # seconds of a short connection; so many in a row are a trouble of its own

RENEW_WITHIN = 5.0  # seconds to send what is queued, before new TLS files are taken up

SEND_RETAINED, NEVER_SEND_RETAINED = 0, 2  # Retain Handling: MQTT 5, section 3.8.3.1


class Client:
    """Use: set `on_message`, `on_up`, `on_down`, `will`; then run `keep_up()` as a task."""

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
        self.manual_ack = False  # with QoS 1: a message is acknowledged when `ack` is called
        self._client_id = client_id
        self._health = health
        self._certificates = Certificates(broker, health)
        self._connector = Workers(f"connect-{broker.name}")
        self._connection: Connection | None = None
        self._backoff = backoff or Backoff()
        self._up_since = 0.0
        self._shorts = 0  # connections in a row that did not last
        self._lasts: asyncio.TimerHandle | None = None
        self._leaving = False
        self._trouble = StateLogger(log, str(broker))
        metrics.CONNECTED.labels(broker.name).set(0)
        health.check(self._check, "connecting")

    @property
    def _check(self) -> str:
        return f"{self.broker.name}_broker"

    def subscribe_to(self, topic: str, retained: bool = True) -> None:
        """Take what is published on `topic` from the next connection on.

        `retained`: also what is retained there, anew with each connection.
        """
        # The broker refuses "no local" on shared subscriptions: MQTT 5, section 3.8.3.1.
        options = SubscribeOptions(
            qos=self.qos,
            noLocal=not topic.startswith("$share/"),
            retainAsPublished=True,
            retainHandling=SEND_RETAINED if retained else NEVER_SEND_RETAINED,
        )
        self.topics.append((topic, options))

    async def keep_up(self) -> None:
        """Connect, stay connected, connect again, until `leave()` or until cancelled."""
        while not self._leaving:
            connection = Connection(
                self.broker, self._client_id, self._deliver, self.will, self.manual_ack
            )
            try:
                await connection.open(self._connector, self._certificates.context())
                await self._serve(connection)
                if await self._renewed(connection):
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
            self._lost(failure)
            pause = TAKEN_OVER_PAUSE if failure.reason == "taken_over" else self._backoff.next()
            await asyncio.sleep(pause)

    async def _renewed(self, connection: Connection) -> bool:
        """Wait for the end of the connection, or leave it in order for new TLS files."""
        closed = connection.closed
        while not closed.done():
            await asyncio.wait({closed}, timeout=certificates.LOOK_EVERY)
            look = asyncio.create_task(self._certificates.look(self._connector))
            either: set[asyncio.Future[Any]] = {look, closed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                look.cancel()
            elif look.result() and not self._leaving:
                self._connection = None  # what comes now waits for the next connection
                await connection.disconnect(RENEW_WITHIN)
                connection.fail(ConnectionFailed("left", "we left"))
                self._down("renewed")
                return True
        return False

    async def _serve(self, connection: Connection) -> None:
        codes = await connection.subscribe(self.topics) if self.topics else []
        for (topic, _), code in zip(self.topics, codes, strict=False):
            if code.is_failure:
                text = f"it denies the subscription to {topic} ({code}): check its access list"
                raise ConnectionFailed("denied", text)
        if connection.closed.done():
            raise connection.closed.result()
        self._certificates.met(connection.certificate)
        self._connection = connection
        self._up_since = time.monotonic()
        if self._shorts < FLAPS:
            self._well()
        else:  # it has to last, this time, before it is said to be well
            self._look_later(SHORT)
        metrics.CONNECTED.labels(self.broker.name).set(1)
        metrics.CONNECTIONS.labels(self.broker.name).inc()
        for call in self.on_up:
            call()

    def _look_later(self, seconds: float) -> None:
        if self._lasts is None:
            self._lasts = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Has the connection of now lasted?"""
        self._lasts = None
        missing = SHORT - (time.monotonic() - self._up_since)
        if self.up and missing <= 0:
            self._well()
        elif self.up:
            self._look_later(missing)

    def _well(self) -> None:
        self._trouble.end("connected")
        self._health.check(self._check, None)

    def _flapping(self, failure: ConnectionFailed) -> ConnectionFailed:
        """Tell a connection that never lasts from one that was lost."""
        lasted = time.monotonic() - self._up_since
        self._shorts = self._shorts + 1 if lasted < SHORT else 0
        if self._shorts < FLAPS:
            return failure
        text = (
            f"its connections end within seconds: {failure};"
            f" is there another client with the id {self._client_id!r}?"
        )
        return ConnectionFailed("flapping", text)

    def _lost(self, failure: ConnectionFailed) -> None:
        was_up = self.up
        if was_up and failure.reason != "taken_over":
            failure = self._flapping(failure)
        self._trouble.begin(failure.reason, str(failure))
        self._health.check(self._check, failure.reason)
        metrics.LOST.labels(self.broker.name, failure.reason).inc()
        if was_up:
            self._backoff.lasted(time.monotonic() - self._up_since)
            self._down(failure.reason)

    def _down(self, reason: str) -> None:
        self._connection = None
        metrics.CONNECTED.labels(self.broker.name).set(0)
        for call in self.on_down:
            call(reason)

    def _deliver(self, message: Message, ack: Ack) -> None:
        try:
            self.on_message(message, ack)
        except Exception:
            # A fault of ours in one message must not cost the others; it is seen and counted.
            log.exception("a message of %d bytes could not be handled", len(message.content))
            metrics.ERRORS.labels("message").inc()

    @property
    def up(self) -> bool:
        return self._connection is not None

    @property
    def certificate_days(self) -> float | None:
        """Until the first of the certificates on this link ends; None without TLS."""
        return self._certificates.days_left()

    @property
    def max_packet(self) -> int:
        """Bytes of the largest packet that the broker says it takes."""
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
        """Hand one message to the connection; False when there is none (nothing is kept).

        `properties` are the bytes of all of them, without their length.
        """
        if self._connection is None:
            return False
        qos = self.qos if qos is None else qos
        self._connection.publish(topic, payload, done, qos, retain, properties)
        return True

    def stop_taking(self) -> None:
        """Unsubscribe from everything, so that what is in hand can be finished."""
        if self._connection is not None and self.topics:
            self._connection.unsubscribe([topic for topic, _ in self.topics])

    async def leave(self, timeout: float = 1.0) -> None:
        """Disconnect in order, within `timeout` seconds, and stay so."""
        self._leaving = True
        if self._connection is not None:
            await self._connection.disconnect(timeout)
