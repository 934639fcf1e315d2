"""One MQTT 5 connection: one paho client, driven by asyncio.

A connection is opened once and never reused. The state that paho keeps between connections (message
ids, an unanswered ping) ends with it, and a late acknowledgement cannot hit a message of the next
connection. paho connects, subscribes, keeps alive and disconnects. Messages bypass it, since it
spends more CPU on one than everything else here together: docs/decisions/0004-mqtt-client.md.
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

DEAD_AFTER = 20.0  # seconds without one byte sent or received while something waits

PUBLISH = 0x30  # MQTT 5, section 2.1.2
PUBACK = b"\x40\x02"  # with Success, a Packet Identifier follows: section 3.4

KEEPALIVE = 10  # seconds: paho pings after 10 s of silence and gives up after 20 s
CONNECT_TIMEOUT = 5.0  # seconds, for TCP and for TLS; as much again for the broker's answer


class PahoClient(Client):
    """A paho client whose socket is a `PacketStream`."""

    def _create_socket(
        self,
    ) -> Any:  # private to paho; tests/integration/common/mqtt/test_packet_stream.py guards it
        return PacketStream(super()._create_socket())  # type: ignore[arg-type] # with TCP it is a socket


def create_client(
    broker: Broker,
    client_id: str,
    will: tuple[str, bytes] | None = None,
    kind: type[Client] = Client,
) -> Client:
    """A paho client for `broker`; `will` is (topic, payload), published retained at QoS 0."""
    client = kind(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
    client.connect_timeout = CONNECT_TIMEOUT
    if broker.username:
        client.username_pw_set(broker.username, broker.password or None)
    if will is not None:
        client.will_set(will[0], will[1], qos=0, retain=True)
    return client


def connect_client(client: Client, broker: Broker, max_packet: int = MAX_PACKET) -> None:
    """Resolve the name, connect, do the TLS handshake; blocks.

    `max_packet` is the size in bytes of the largest packet that the broker may send.

    Raises:
        OSError, ValueError: see `connect_errors.explain_error`.
    """
    properties = Properties(PacketTypes.CONNECT)
    properties.MaximumPacketSize = max_packet
    client.connect(
        broker.host, broker.port, keepalive=KEEPALIVE, clean_start=True, properties=properties
    )


Ack = Callable[[], None]


def ignore_ack() -> None:
    """The `Ack` of a message that needs none."""


class Connection:
    """One connection to one broker: `await open()`, then `publish` and `subscribe`.

    `closed` is a future whose result says why the connection ended.
    """

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
        self._accepted: asyncio.Future[None] = self._loop.create_future()  # by CONNACK
        self._subacks: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._leaving = False
        self._limited_log = RateLimitedLogger(log)
        self._transport: Transport | None = None
        self._in_flight: InFlight
        self.closed: asyncio.Future[ConnectionFailed] = self._loop.create_future()
        self.certificate: dict[str, Any] | None = None  # the broker's, with TLS
        self.max_packet = 268_435_455  # bytes; MQTT 5, section 1.5.5, until the broker says less
        self._client = create_client(broker, client_id, will, PahoClient)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe

    async def open(self, connector: Workers, context: ssl.SSLContext | None) -> None:
        """Connect; the blocking steps (name, TCP, TLS) run in `connector`'s thread.

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
        await self._wait_for_any({self._accepted}, CONNECT_TIMEOUT)
        if not self._accepted.done():
            text = "the broker does not answer; is it an MQTT 5 broker?"
            self.fail(ConnectionFailed("no_answer", text))
        if self.closed.done():
            raise self.closed.result()

    def _attach(self) -> None:
        stream = self._client.socket()
        if not isinstance(stream, PacketStream):
            raise connect_errors.explain_early_end(self._broker.tls)
        sockets.tune(stream.sock)
        if isinstance(stream.sock, ssl.SSLSocket):
            self.certificate = stream.sock.getpeercert()
        self._client.on_disconnect = self._on_disconnect
        self._client.on_socket_close = lambda *_: self._on_socket_close()
        self._in_flight = InFlight(stream)
        self._transport = Transport(stream, self._handle, self._on_end)
        self._loop.call_later(1.0, self._check_silence, sockets.SilenceMeter(stream.sock))

    # Incoming packets.

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
            self._in_flight.on_puback(body)
        elif self._transport is not None and not self._leaving:  # else paho no longer listens
            self._transport.stream.hand_to_paho(first, body)
            self._run_paho(self._client.loop_read)

    def _refuse(self, error: TooManyProperties) -> None:
        """Acknowledge the message unread, or the broker would send it again for ever."""
        metrics.REFUSED.labels("properties").inc()
        self._limited_log.warn("properties", f"refused a message on {error.topic[:100]!r}: {error}")
        if error.mid:
            self._acknowledge(error.mid)

    def _acknowledge(self, mid: int) -> None:
        if self._transport is not None:
            self._transport.stream.put(PUBACK + mid.to_bytes(2, "big"))

    def _on_end(self, malformed: Malformed | None) -> None:
        if malformed is not None:
            self._fail_malformed(malformed)
        elif self._leaving:
            self.fail(ConnectionFailed("left", "we left"))
        elif self._accepted.done():
            self.fail(ConnectionFailed("lost", "the connection was lost"))
        else:
            self.fail(connect_errors.explain_early_end(self._broker.tls))

    def _fail_malformed(self, error: Exception) -> None:
        text = f"the broker sent bytes that are not valid MQTT 5: {error!r}"
        self.fail(ConnectionFailed("protocol", text))

    def _check_silence(self, meter: sockets.SilenceMeter) -> None:
        """Once a second, check that the other side is still there."""
        if self._transport is None:
            return
        stream = self._transport.stream
        self._loop.call_later(1.0, self._check_silence, meter)
        silence = meter.silence()
        if not stream.waiting and not sockets.count_unacknowledged(stream.sock):
            # Nothing waits: paho pings the broker and checks that it answers.
            meter.reset(at_most=KEEPALIVE)
            self._run_paho(self._client.loop_misc)
        elif silence > DEAD_AFTER:
            # Otherwise bytes are moving, however slowly. A ping queued behind them could not be
            # answered, and giving up would send the same large face again for ever.
            text = f"nothing got through for {DEAD_AFTER:.0f} s"
            self.fail(ConnectionFailed("stalled", text))

    def _run_paho(self, call: Callable[[], MQTTErrorCode]) -> None:
        """Let paho work; an exception from it ends this connection and nothing else."""
        try:
            call()
        except Exception as error:
            log.debug("paho failed", exc_info=True)
            self._fail_malformed(error)

    # Callbacks of paho.

    def _on_connect(
        self, _c: Client, _u: Any, _f: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self.fail(connect_errors.explain_refusal(code))
            return
        self.max_packet = getattr(properties, "MaximumPacketSize", self.max_packet)
        most = self._in_flight.maximum
        self._in_flight.maximum = min(most, getattr(properties, "ReceiveMaximum", most))
        if not self._accepted.done():
            self._accepted.set_result(None)

    def _on_disconnect(
        self, _c: Client, _u: Any, flags: DisconnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        if self._leaving:
            return  # its DISCONNECT is still to be written
        if flags.is_disconnect_packet_from_server:
            self.fail(connect_errors.explain_dismissal(code))
        elif not self._accepted.done():
            self.fail(connect_errors.explain_early_end(self._broker.tls))
        else:
            self.fail(connect_errors.explain_loss(code))

    def _on_subscribe(
        self, _c: Client, _u: Any, mid: int, codes: list[ReasonCode], _p: Properties | None
    ) -> None:
        future = self._subacks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(codes)

    def _on_socket_close(self) -> None:
        if not self._leaving:  # else its DISCONNECT is still to be written
            self._detach()

    def _detach(self) -> None:
        if self._transport is not None:
            self._transport.detach()
            self._transport = None

    # Called by the client.

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
        if self._transport is None or self._leaving:
            return
        if qos:
            self._in_flight.send(topic, payload, retain, properties, done)
        else:
            head = encode_publish_head(topic, len(payload), 0, retain, 0, properties)
            self._transport.stream.put(head, payload, done)

    async def subscribe(self, topics: list[tuple[str, SubscribeOptions]]) -> list[ReasonCode]:
        """Subscribe; returns the broker's answer per topic (the granted QoS, or a failure)."""
        _, mid = self._client.subscribe(topics)
        assert mid is not None  # noqa: S101 - paho types it loosely; set whenever it has a socket
        future = self._subacks[mid] = self._loop.create_future()
        await self._wait_for_any({future}, None)
        return future.result() if future.done() else []

    def unsubscribe(self, topics: list[str]) -> None:
        self._client.unsubscribe(topics)

    async def disconnect(self, timeout: float) -> None:
        """Send DISCONNECT after what is queued, so that the broker does not publish the will."""
        self._leaving = True
        if self._transport is None:
            return
        self._transport.stream.leaving = True
        # A second descriptor, since the stream closes its own.
        with socket.socket(fileno=os.dup(self._transport.stream.fileno())) as sock:
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wait_for_any({self._transport.flush()}, None)
                    self.fail(ConnectionFailed("left", "we left"))
                    await sockets.close_gracefully(sock)

    async def _wait_for_any(self, futures: set[asyncio.Future[Any]], timeout: float | None) -> None:
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
        if self._transport is not None:
            stream = self._transport.stream
            self._detach()
            stream.leaving = False
            stream.close()
