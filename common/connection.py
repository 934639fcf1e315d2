"""One MQTT 5 connection: one paho client, driven by asyncio, watched byte by byte.

A connection is made once and never reused. What paho keeps between connections (packets half
sent, message ids, a ping without answer) therefore ends with it, and an acknowledgement that
comes too late cannot hit a message of the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from common import client, failures, sockets
from common.broker import Broker
from common.client import CONNECT_TIMEOUT, KEEPALIVE
from common.failures import ConnectionFailed
from common.workers import Workers

log = logging.getLogger(__name__)

DEAD_AFTER = 20.0  # seconds without one byte taken or given while something waits
READS_PER_TURN = 32  # packets, so that a flood leaves the loop room for others

Done = Callable[[str | None], None]  # called with None when sent, else with the reason


def ignored(_reason: str | None) -> None:
    """A `Done` for who does not mind."""


class Connection:
    """Use: `await open()`, then `publish`, `subscribe`; `await closed` ends with the reason."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        on_message: Callable[[Connection, MQTTMessage], None],
        will: tuple[str, bytes] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._broker = broker
        self._on_message = on_message
        self._inbox: deque[MQTTMessage] = deque()
        self._sent: dict[int, tuple[Done, bool]] = {}
        self._done: deque[tuple[Done, str | None]] = deque()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._flush_due = False
        self._leaving = False
        self._sock: socket.socket | None = None
        self.closed: asyncio.Future[ConnectionFailed] = self._loop.create_future()
        self.certificate: dict[str, Any] | None = None  # the broker's, with TLS
        self.max_packet = 268_435_455  # bytes; MQTT 5, section 1.5.5, until the broker says less
        self._client = client.make(broker, client_id, will, manual_ack)
        self._client.on_connect = self._connected
        self._client.on_message = lambda _client, _data, message: self._inbox.append(message)
        self._client.on_publish = self._published
        self._client.on_subscribe = self._subscription_answered

    async def open(self, connector: Workers, context: ssl.SSLContext | None) -> None:
        """Connect; names are resolved and TLS is shaken in `connector`'s thread.

        Raises:
            ConnectionFailed: with the reason.
        """
        if context is not None:
            self._client.tls_set_context(context)
        try:
            await connector.run(client.connect, self._client, self._broker)
        except (OSError, ValueError) as error:
            raise failures.explained(error, self._broker.tls) from None
        self._attach()
        await self._first({self._answered}, CONNECT_TIMEOUT)
        if not self._answered.done():
            text = "the broker does not answer; is it an MQTT 5 broker?"
            self.fail(ConnectionFailed("no_answer", text))
        if self.closed.done():
            raise self.closed.result()

    def _attach(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            raise failures.closed_at_once(self._broker.tls)
        sockets.tune(sock)
        self._sock = sock
        if isinstance(sock, ssl.SSLSocket):
            self.certificate = sock.getpeercert()
        self._client.on_disconnect = self._disconnected
        self._client.on_socket_close = self._detached
        self._client.on_socket_register_write = lambda *_: self._want_flush()
        self._client.on_socket_unregister_write = lambda *_: None
        self._loop.add_reader(sock, self._readable)
        self._loop.call_later(1.0, self._tick, sockets.Pulse(sock))
        self._want_flush()

    # What asyncio calls.

    def _readable(self) -> None:
        for _ in range(READS_PER_TURN):
            code = self._guarded(self._client.loop_read)
            taken = len(self._inbox)
            self._hand_out()
            if code is None:
                return
            if not taken:
                break
        # TLS may hold decrypted bytes that the kernel knows nothing of.
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            self._loop.call_soon(self._readable)

    def _hand_out(self) -> None:
        """Call whom it concerns: outside of paho, which holds locks, and calls us in its loops."""
        while self._inbox:
            self._on_message(self, self._inbox.popleft())
        while self._done:
            done, reason = self._done.popleft()
            done(reason)

    def _want_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._sock is None:
            return
        if sockets.has_room(self._sock):
            self._guarded(self._client.loop_write)
            self._hand_out()
        if self._sock is None:
            return
        if self._client.want_write():
            self._loop.add_writer(self._sock, self._flush)
        else:
            self._loop.remove_writer(self._sock)

    def _tick(self, pulse: sockets.Pulse) -> None:
        """Once a second: is the other side still there?"""
        if self._sock is None:
            return
        self._loop.call_later(1.0, self._tick, pulse)
        silence = pulse.silence()
        if not self._client.want_write() and not sockets.unacknowledged(self._sock):
            # Nothing waits: paho asks the broker for a sign of life, and judges its answer.
            pulse.rested(at_most=KEEPALIVE)
            self._guarded(self._client.loop_misc)
        elif silence > DEAD_AFTER:
            # Else bytes are moving, however slowly: a ping behind them could not be answered,
            # and to give up would send the same large face again for ever.
            text = f"nothing got through for {DEAD_AFTER:.0f} s"
            self.fail(ConnectionFailed("stalled", text))

    def _guarded(self, call: Callable[[], MQTTErrorCode]) -> MQTTErrorCode | None:
        """Let paho work; whatever it makes of what the broker sent ends this connection only."""
        try:
            code = call()
        except Exception as error:
            log.debug("paho failed", exc_info=True)
            text = f"the broker's bytes are no valid MQTT 5: {error!r}"
            self.fail(ConnectionFailed("protocol", text))
            return None
        return None if self._sock is None else code

    # What paho calls.

    def _connected(
        self, _c: Client, _u: Any, _f: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self.fail(failures.refused(code))
            return
        self.max_packet = getattr(properties, "MaximumPacketSize", self.max_packet)
        if not self._answered.done():
            self._answered.set_result(None)

    def _disconnected(
        self, _c: Client, _u: Any, flags: DisconnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        if self._leaving:
            self.fail(ConnectionFailed("left", "we left"))
        elif flags.is_disconnect_packet_from_server:
            self.fail(failures.dismissed(code))
        elif not self._answered.done():
            self.fail(failures.closed_at_once(self._broker.tls))
        else:
            self.fail(failures.lost(code))

    def _published(self, _c: Client, _u: Any, mid: int, code: ReasonCode, _p: Properties) -> None:
        done, retain = self._sent.pop(mid)
        # 0x10, no matching subscribers, is not a failure by its number, yet nobody has it; but
        # for the broker, if it retains it.
        refused = code.is_failure or (code.value == 0x10 and not retain)
        self._done.append((done, "refused" if refused else None))

    def _subscription_answered(
        self, _c: Client, _u: Any, mid: int, codes: list[ReasonCode], _p: Properties | None
    ) -> None:
        future = self._subscribed.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(codes)

    def _detached(self, _c: Client, _u: Any, sock: Any) -> None:
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        self._sock = None

    # What the link calls.

    def publish(
        self,
        topic: str,
        payload: bytes,
        done: Done,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Queue one message; `done` is called once, unless the connection ends before that."""
        info = self._client.publish(topic, payload, qos, retain, properties)
        self._sent[info.mid] = (done, retain)

    async def subscribe(self, topics: list[tuple[str, SubscribeOptions]]) -> list[ReasonCode]:
        """Subscribe, and return the broker's answer per topic (granted QoS, or a failure)."""
        _, mid = self._client.subscribe(topics)
        assert mid is not None  # noqa: S101 - paho types it loosely; set whenever it has a socket
        future = self._subscribed[mid] = self._loop.create_future()
        await self._first({future}, None)
        return future.result() if future.done() else []

    def unsubscribe(self, topics: list[str]) -> None:
        self._client.unsubscribe(topics)

    def ack(self, mid: int, qos: int) -> None:
        if qos and self._sock is not None:
            self._client.ack(mid, qos)

    async def disconnect(self, timeout: float) -> None:
        """Say goodbye after what is queued; the broker then does not publish the will."""
        self._leaving = True
        if self._sock is None:
            return
        # A second descriptor, as paho closes its own at once.
        with socket.socket(fileno=os.dup(self._sock.fileno())) as sock:
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._first(set(), None)
                    await sockets.closed_by_peer(sock)

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
        self._client.on_socket_register_write = None
        sock = self._sock
        if sock is not None:
            self._detached(self._client, None, sock)
            sock.close()
