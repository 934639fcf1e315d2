"""One MQTT 5 connection: one paho client, driven by asyncio, watched byte by byte.

A connection is made once and never reused. What paho keeps between connections (packets half
sent, message ids, a ping without answer) therefore ends with it, and an acknowledgement that
comes too late cannot hit a message of the next one.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from common.broker import Broker
from common.workers import Workers

log = logging.getLogger(__name__)

KEEPALIVE = 10  # seconds: paho asks after 10 s of silence and gives up after 20 s
DEAD_AFTER = 20.0  # seconds without one byte taken or given while something waits
CONNECT_TIMEOUT = 5.0  # seconds, for TCP and for TLS; as much again for the broker's answer
MAX_PACKET = 4 * 1024 * 1024  # bytes we are willing to receive in one packet
UNSENT_IN_KERNEL = 64 * 1024  # bytes; what waits should wait where it can still be replaced
READS_PER_TURN = 32  # packets, so that a flood leaves the loop room for others

_SIOCOUTQNSD = 0x894B  # linux/sockios.h

Done = Callable[[str | None], None]  # called with None when sent, else with the reason


def ignored(_reason: str | None) -> None:
    """A `Done` for who does not mind."""


class ConnectionFailed(Exception):
    """The connection could not be made or did not last. `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


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
        self._inbox: list[MQTTMessage] = []
        self._sent: dict[int, tuple[int, Done]] = {}
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._flush_due = False
        self._leaving = False
        self._moved = (0, 0)
        self._moved_at = time.monotonic()
        self._sock: socket.socket | None = None
        self.closed: asyncio.Future[ConnectionFailed] = self._loop.create_future()
        self.outstanding = 0  # bytes given to paho that are not sent yet
        self.max_packet = 268_435_455  # bytes; MQTT 5, section 1.5.5, until the broker says less
        self._client = self._make_client(client_id, will, manual_ack)

    def _make_client(
        self, client_id: str, will: tuple[str, bytes] | None, manual_ack: bool
    ) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, manual_ack=manual_ack
        )
        client.connect_timeout = CONNECT_TIMEOUT
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password or None)
        if will is not None:
            client.will_set(will[0], will[1], qos=0, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = lambda _client, _data, message: self._inbox.append(message)
        client.on_publish = self._published
        client.on_subscribe = self._subscription_answered
        return client

    async def open(self, connector: Workers) -> None:
        """Connect; names are resolved and TLS is shaken in `connector`'s thread.

        Raises:
            ConnectionFailed: with the reason.
        """
        try:
            context = self._broker.context()
        except (OSError, ValueError) as error:
            raise ConnectionFailed("certificate", f"TLS files cannot be used: {error}") from None
        if context is not None:
            self._client.tls_set_context(context)
        properties = Properties(PacketTypes.CONNECT)
        properties.MaximumPacketSize = MAX_PACKET
        try:
            await connector.run(self._connect, properties)
        except (OSError, ValueError) as error:
            raise ConnectionFailed(*_explain(error)) from None
        self._attach()
        await self._first({self._answered}, CONNECT_TIMEOUT)
        if not self._answered.done():
            self.fail("no_answer", "the broker does not answer; is it an MQTT 5 broker?")
        if self.closed.done():
            raise self.closed.result()

    def _connect(self, properties: Properties) -> None:
        self._client.connect(
            self._broker.host,
            self._broker.port,
            keepalive=KEEPALIVE,
            clean_start=True,
            properties=properties,
        )

    def _attach(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            raise ConnectionFailed("closed", "the broker closed the connection at once")
        # Without TCP_NODELAY small faces wait for each other's acknowledgements: measured, see
        # docs/decisions/mqtt-client.md. paho has no option for it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_IN_KERNEL)
        self._sock = sock
        self._client.on_socket_close = self._detached
        self._client.on_socket_register_write = lambda *_: self._want_flush()
        self._client.on_socket_unregister_write = lambda *_: None
        self._loop.add_reader(sock, self._readable)
        self._loop.call_later(1.0, self._tick)
        self._want_flush()

    # What asyncio calls.

    def _readable(self) -> None:
        for _ in range(READS_PER_TURN):
            if self._guarded(self._client.loop_read) is None:
                return
            messages, self._inbox = self._inbox, []
            for message in messages:
                self._on_message(self, message)
            if not messages:
                break
        # TLS may hold decrypted bytes that the kernel knows nothing of.
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            self._loop.call_soon(self._readable)

    def _want_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._sock is None:
            return
        if _queued(self._sock, _SIOCOUTQNSD) < UNSENT_IN_KERNEL:
            self._guarded(self._client.loop_write)
        if self._sock is None:
            return
        if self._client.want_write():
            self._loop.add_writer(self._sock, self._flush)
        else:
            self._loop.remove_writer(self._sock)

    def _tick(self) -> None:
        """Once a second: is the other side still there?"""
        if self._sock is None:
            return
        self._loop.call_later(1.0, self._tick)
        now = time.monotonic()
        moved = _bytes_moved(self._sock)
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        if not self._client.want_write() and not _queued(self._sock, termios.TIOCOUTQ):
            # Nothing waits: paho asks the broker for a sign of life, and judges its answer.
            self._guarded(self._client.loop_misc)
        elif now - self._moved_at > DEAD_AFTER:
            # Else bytes are moving, however slowly: a ping behind them could not be answered,
            # and to give up would send the same large face again for ever.
            self.fail("stalled", f"nothing got through for {DEAD_AFTER:.0f} s")

    def _guarded(self, call: Callable[[], MQTTErrorCode]) -> MQTTErrorCode | None:
        """Let paho work; whatever it makes of what the broker sent ends this connection only."""
        try:
            code = call()
        except Exception as error:
            log.debug("paho failed", exc_info=True)
            self.fail("protocol", f"the broker's bytes are no valid MQTT 5: {error!r}")
            return None
        return None if self._sock is None else code

    # What paho calls.

    def _connected(
        self, _c: Client, _u: Any, _f: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            text = f"the broker refuses: {code}"
            if code.value in (0x86, 0x87):
                text += "; check the user name, password or certificate"
            self.fail("refused", text)
            return
        self.max_packet = getattr(properties, "MaximumPacketSize", self.max_packet)
        if not self._answered.done():
            self._answered.set_result(None)

    def _disconnected(
        self, _c: Client, _u: Any, flags: DisconnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        if self._leaving:
            self.fail("left", "we left")
        elif flags.is_disconnect_packet_from_server:
            reasons = {0x8E: "taken_over", 0x95: "too_large"}
            self.fail(reasons.get(code.value, "dismissed"), f"the broker ended it: {code}")
        elif not self._answered.done():
            self.fail("closed", "closed before MQTT was agreed; does the broker want TLS?")
        elif code.value == 0x8D:
            self.fail("silent", "the broker no longer answers")
        else:
            self.fail("lost", "the connection was lost")

    def _published(self, _c: Client, _u: Any, mid: int, code: ReasonCode, _p: Properties) -> None:
        size, done = self._sent.pop(mid)
        self.outstanding -= size
        # 0x10, no matching subscribers, is not a failure by its number, yet nobody has it.
        refused = code.is_failure or code.value == 0x10
        done("refused" if refused else None)

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
        size = len(payload)
        self._sent[info.mid] = (size, done)
        self.outstanding += size

    async def subscribe(self, topics: list[tuple[str, SubscribeOptions]]) -> list[ReasonCode]:
        """Subscribe, and return the broker's answer per topic (granted QoS, or a failure)."""
        _, mid = self._client.subscribe(topics)
        assert mid is not None  # noqa: S101 - paho types it loosely; set whenever it has a socket
        future = self._subscribed[mid] = self._loop.create_future()
        await self._first({future}, None)
        return future.result() if future.done() else []

    def unsubscribe(self, topics: list[str]) -> None:
        self._client.unsubscribe(topics)

    def ack(self, message: MQTTMessage) -> None:
        if message.qos and self._sock is not None:
            self._client.ack(message.mid, message.qos)

    async def disconnect(self, timeout: float) -> None:
        """Say goodbye after what is queued; the broker then does not publish the will."""
        self._leaving = True
        self._client.disconnect()
        await self._first(set(), timeout)

    async def _first(self, futures: set[asyncio.Future[Any]], timeout: float | None) -> None:
        """Wait for one of `futures`, but not past the end of the connection."""
        await asyncio.wait(
            {*futures, self.closed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )

    def fail(self, reason: str, text: str) -> None:
        """End the connection for `reason`; only the first reason counts."""
        if self.closed.done():
            return
        self.closed.set_result(ConnectionFailed(reason, text))
        self._client.on_socket_close = None
        self._client.on_socket_register_write = None
        sock = self._sock
        if sock is not None:
            self._detached(self._client, None, sock)
            sock.close()


def _queued(sock: socket.socket, request: int) -> int:
    """Bytes in the kernel's send queue: unacknowledged (TIOCOUTQ) or unsent; tcp(7)."""
    return int(struct.unpack("i", fcntl.ioctl(sock, request, b"\0" * 4))[0])


def _bytes_moved(sock: socket.socket) -> tuple[int, int]:
    """Bytes that the peer has acknowledged and that came from it: linux/tcp.h, tcp_info."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    acked, received = struct.unpack_from("QQ", info, 120)
    return acked, received


def _explain(error: OSError | ValueError) -> tuple[str, str]:
    """A reason and a sentence for what went wrong below MQTT."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate", f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "tls", f"no TLS with it: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return "name", f"the host name does not resolve: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "timeout", f"no connection within {CONNECT_TIMEOUT:.0f} s"
    if isinstance(error, ConnectionRefusedError):
        return "absent", "nothing listens there"
    return "unreachable", str(error)
