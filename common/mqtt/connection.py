"""One MQTT 5 connection: one paho client, driven by asyncio, watched byte by byte.

A connection is made once and never reused. What paho keeps between connections (message ids, a ping
without answer) therefore ends with it, and an acknowledgement that comes too late cannot hit a
message of the next one. paho connects, subscribes, keeps alive and says goodbye; messages go past
it, since it spends more on one than all else here together: docs/decisions/mqtt-client.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from common import metrics
from common.mqtt import connect_errors
from common.mqtt.broker import Broker
from common.mqtt.connect_errors import ConnectionFailed
from common.mqtt.message import Message, encode_publish_head
from common.mqtt.packet_stream import MAX_PACKET, Buffer, Done, PacketStream
from common.mqtt.property_cache import Malformed, TooManyProperties
from common.mqtt.qos1 import InFlight
from common.mqtt.transport import Transport
from common.runtime import sockets
from common.runtime.logs import RateLimitedLogger
from common.runtime.workers import Workers

log = logging.getLogger(__name__)

DEAD_AFTER = 20.0  # seconds without one byte taken or given while something waits

PUBLISH = 0x30  # MQTT 5, section 2.1.2
PUBACK = b"\x40\x02"  # with Success, a Packet Identifier follows: section 3.4

KEEPALIVE = 10  # seconds: paho asks after 10 s of silence and gives up after 20 s
CONNECT_TIMEOUT = 5.0  # seconds, for TCP and for TLS; as much again for the broker's answer


class PahoClient(Client):
    """A paho client that finds a `Wire` where it made a socket."""

    def _create_socket(
        self,
    ) -> Any:  # paho's own; tests/integration/common/mqtt/test_packet_stream.py tells if it goes
        return PacketStream(super()._create_socket())  # type: ignore[arg-type] # with TCP it is a socket


def create_client(
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


def connect_client(client: Client, broker: Broker, max_packet: int = MAX_PACKET) -> None:
    """Resolve, connect, shake hands; blocks. The broker sends no packet above `max_packet` bytes.

    Raises:
        OSError, ValueError: see `failures.explained`.
    """
    properties = Properties(PacketTypes.CONNECT)
    properties.MaximumPacketSize = max_packet
    client.connect(
        broker.host, broker.port, keepalive=KEEPALIVE, clean_start=True, properties=properties
    )


Ack = Callable[[], None]


def ignore_ack() -> None:
    """The `Ack` of a message that wants none."""


class Connection:
    """Use: `await open()`, then `publish`, `subscribe`; `await closed` ends with the reason."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        on_message: Callable[[Message, Ack], None],
        will: tuple[str, bytes] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._broker = broker
        self._on_message = on_message
        self._manual_ack = manual_ack
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._leaving = False
        self._seldom = RateLimitedLogger(log)
        self._channel: Transport | None = None
        self._exchange: InFlight
        self.closed: asyncio.Future[ConnectionFailed] = self._loop.create_future()
        self.certificate: dict[str, Any] | None = None  # the broker's, with TLS
        self.max_packet = 268_435_455  # bytes; MQTT 5, section 1.5.5, until the broker says less
        self._client = create_client(broker, client_id, will, PahoClient)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscription_answered

    async def open(self, connector: Workers, context: ssl.SSLContext | None) -> None:
        """Connect; names are resolved and TLS is shaken in `connector`'s thread.

        Raises:
            ConnectionFailed: with the reason.
        """
        if context is not None:
            self._client.tls_set_context(context)
        try:
            await connector.run(connect_client, self._client, self._broker)
        except (OSError, ValueError) as error:
            raise connect_errors.explain_error(error, self._broker.tls) from None
        self._attach()
        await self._first({self._answered}, CONNECT_TIMEOUT)
        if not self._answered.done():
            text = "the broker does not answer; is it an MQTT 5 broker?"
            self.fail(ConnectionFailed("no_answer", text))
        if self.closed.done():
            raise self.closed.result()

    def _attach(self) -> None:
        wire = self._client.socket()
        if not isinstance(wire, PacketStream):
            raise connect_errors.explain_early_end(self._broker.tls)
        sockets.tune(wire.sock)
        if isinstance(wire.sock, ssl.SSLSocket):
            self.certificate = wire.sock.getpeercert()
        self._client.on_disconnect = self._disconnected
        self._client.on_socket_close = lambda *_: self._paho_closes()
        self._exchange = InFlight(wire)
        self._channel = Transport(wire, self._handle, self._ended)
        self._loop.call_later(1.0, self._tick, sockets.SilenceMeter(wire.sock))

    # What comes.

    def _handle(self, first: int, body: bytes | bytearray) -> None:
        if first & 0xF0 == PUBLISH:
            try:
                message = Message(first, body)
            except TooManyProperties as error:
                self._refuse(error)
                return
            ack = partial(self._acknowledge, message.mid) if message.mid else ignore_ack
            self._on_message(message, ack if self._manual_ack else ignore_ack)
            if not self._manual_ack:
                ack()
        elif first == PUBACK[0]:
            self._exchange.acknowledged(body)
        elif self._channel is not None and not self._leaving:  # else paho listens no more
            self._channel.wire.hand_to_paho(first, body)
            self._guarded(self._client.loop_read)

    def _refuse(self, error: TooManyProperties) -> None:
        """Acknowledge a message that is not read, or the broker would send it again for ever."""
        metrics.REFUSED.labels("properties").inc()
        self._seldom.warn("properties", f"a message on {error.topic[:100]!r} is refused: {error}")
        if error.mid:
            self._acknowledge(error.mid)

    def _acknowledge(self, mid: int) -> None:
        if self._channel is not None:
            self._channel.wire.put(PUBACK + mid.to_bytes(2, "big"))

    def _ended(self, malformed: Malformed | None) -> None:
        if malformed is not None:
            self._malformed(malformed)
        elif self._leaving:
            self.fail(ConnectionFailed("left", "we left"))
        elif self._answered.done():
            self.fail(ConnectionFailed("lost", "the connection was lost"))
        else:
            self.fail(connect_errors.explain_early_end(self._broker.tls))

    def _malformed(self, error: Exception) -> None:
        text = f"the broker's bytes are no valid MQTT 5: {error!r}"
        self.fail(ConnectionFailed("protocol", text))

    def _tick(self, pulse: sockets.SilenceMeter) -> None:
        """Once a second: is the other side still there?"""
        if self._channel is None:
            return
        wire = self._channel.wire
        self._loop.call_later(1.0, self._tick, pulse)
        silence = pulse.silence()
        if not wire.waiting and not sockets.count_unacknowledged(wire.sock):
            # Nothing waits: paho asks the broker for a sign of life, and judges its answer.
            pulse.rested(at_most=KEEPALIVE)
            self._guarded(self._client.loop_misc)
        elif silence > DEAD_AFTER:
            # Else bytes are moving, however slowly: a ping behind them could not be answered,
            # and to give up would send the same large face again for ever.
            text = f"nothing got through for {DEAD_AFTER:.0f} s"
            self.fail(ConnectionFailed("stalled", text))

    def _guarded(self, call: Callable[[], MQTTErrorCode]) -> None:
        """Let paho work; whatever it makes of what the broker sent ends this connection only."""
        try:
            call()
        except Exception as error:
            log.debug("paho failed", exc_info=True)
            self._malformed(error)

    # What paho calls.

    def _connected(
        self, _c: Client, _u: Any, _f: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self.fail(connect_errors.explain_refusal(code))
            return
        self.max_packet = getattr(properties, "MaximumPacketSize", self.max_packet)
        most = self._exchange.maximum
        self._exchange.maximum = min(most, getattr(properties, "ReceiveMaximum", most))
        if not self._answered.done():
            self._answered.set_result(None)

    def _disconnected(
        self, _c: Client, _u: Any, flags: DisconnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        if self._leaving:
            return  # what it has said is yet to be written
        if flags.is_disconnect_packet_from_server:
            self.fail(connect_errors.explain_dismissal(code))
        elif not self._answered.done():
            self.fail(connect_errors.explain_early_end(self._broker.tls))
        else:
            self.fail(connect_errors.explain_loss(code))

    def _subscription_answered(
        self, _c: Client, _u: Any, mid: int, codes: list[ReasonCode], _p: Properties | None
    ) -> None:
        future = self._subscribed.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(codes)

    def _paho_closes(self) -> None:
        if not self._leaving:  # else what it said is yet to be written
            self._detach()

    def _detach(self) -> None:
        if self._channel is not None:
            self._channel.detach()
            self._channel = None

    # What the link calls.

    def publish(
        self,
        topic: str,
        payload: Buffer,
        done: Done,
        qos: int = 0,
        retain: bool = False,
        properties: bytes = b"",
    ) -> None:
        """Queue one message; `done` is called once, unless the connection ends before that."""
        if self._channel is None or self._leaving:
            return
        if qos:
            self._exchange.send(topic, payload, retain, properties, done)
        else:
            first = encode_publish_head(topic, len(payload), 0, retain, 0, properties)
            self._channel.wire.put(first, payload, done)

    async def subscribe(self, topics: list[tuple[str, SubscribeOptions]]) -> list[ReasonCode]:
        """Subscribe, and return the broker's answer per topic (granted QoS, or a failure)."""
        _, mid = self._client.subscribe(topics)
        assert mid is not None  # noqa: S101 - paho types it loosely; set whenever it has a socket
        future = self._subscribed[mid] = self._loop.create_future()
        await self._first({future}, None)
        return future.result() if future.done() else []

    def unsubscribe(self, topics: list[str]) -> None:
        self._client.unsubscribe(topics)

    async def disconnect(self, timeout: float) -> None:
        """Say goodbye after what is queued; the broker then does not publish the will."""
        self._leaving = True
        if self._channel is None:
            return
        self._channel.wire.leaving = True
        # A second descriptor, as that of the wire ends with it.
        with socket.socket(fileno=os.dup(self._channel.wire.fileno())) as sock:
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._first({self._channel.written()}, None)
                    self.fail(ConnectionFailed("left", "we left"))
                    await sockets.close_gracefully(sock)

    async def _first(self, futures: set[asyncio.Future[Any]], timeout: float | None) -> None:
        """Wait for one of `futures`, but not past the end of the connection."""
        await asyncio.wait(
            {*futures, self.closed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )

    def fail(self, failure: ConnectionFailed) -> None:
        """End the connection; only the first failure counts."""
        if self.closed.done():
            return
        self.closed.set_result(failure)
        self._client.on_socket_close = None
        if self._channel is not None:
            wire = self._channel.wire
            self._detach()
            wire.leaving = False
            wire.close()
