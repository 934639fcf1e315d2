"""Connections to the pages: counted at accept, before TLS, and ended when they stall."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable

from uvicorn.protocols.http.h11_impl import H11Protocol

from common.http.quota import ConnectionQuota
from common.runtime.logs import RateLimitedLogger
from gallery import metrics

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256  # each costs 0.3 MB with TLS
FOR_LOOPBACK = 16
# Seconds for the whole head of a request, also between two: nobody holds a connection for nothing.
HEAD_WITHIN = 10.0
HANDSHAKE_WITHIN = 5.0  # seconds for TLS
# Seconds after which the kernel ends a connection whose peer takes nothing of what is sent
# (RFC 5482). A stream whose peer reads lives on, however seldom something is sent.
STALL = 30.0
BACK_OFF = 1.0  # seconds to wait when accept fails, for want of file descriptors


class PageProtocol(H11Protocol):
    """HTTP on one connection; `lost` is set when it is over.

    It ends connections that have no request to make, which uvicorn keeps for ever.
    """

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.lost = asyncio.Event()
        self._limit = self.loop.call_later(HEAD_WITHIN, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting and self._limit is not None:
            self._limit.cancel()
            self._limit = None
        elif waiting and self._limit is None:  # the head of a further request has begun
            self._limit = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request whose body is malformed; what the page would still answer is dropped.

        uvicorn lets it answer as well, which ends in a traceback in the log.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)
        self.lost.set()


class Listener:
    """Accepts connections on `sock`. Use: `await listener.accept()`, until it is cancelled."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        create_protocol: Callable[[], PageProtocol],
        proxies: str,
    ) -> None:
        """`context`: None is without TLS. `proxies`: as in HTTP_TRUSTED_PROXY."""
        self._sock = sock
        self._context = context
        self._create_protocol = create_protocol
        self._quota = ConnectionQuota(MAX_CONNECTIONS, FOR_LOOPBACK, proxies)
        self._refusals = RateLimitedLogger(log)
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.CONNECTIONS.set_function(self._quota.__len__)

    async def accept(self) -> None:
        """Accept until cancelled. A connection is refused by its end: an answer would cost TLS."""
        self._sock.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(self._sock)
            except OSError as error:
                self._refusals.warn("accept", f"cannot accept connections: {error}")
                await asyncio.sleep(BACK_OFF)
                continue
            if reason := self._quota.enter(address):
                connection.close()
                metrics.CONNECTIONS_REFUSED.labels(reason).inc()
                self._refusals.warn(reason, f"too many connections; refused one from {address}")
            else:
                task = loop.create_task(self._serve(connection, address))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(0)  # a flood of connections leaves the loop time for its other work

    async def _serve(self, connection: socket.socket, address: str) -> None:
        """Serve one connection until it is over."""
        with contextlib.suppress(OSError):  # not every system has it
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL * 1000))
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                self._create_protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_WITHIN if self._context else None,
            )
            await protocol.lost.wait()
        except OSError as error:  # TLS failed (`ssl.SSLError`), or took too long
            metrics.CONNECTIONS_REFUSED.labels("handshake").inc()
            log.debug("%s: %s", address, error)
        finally:
            self._quota.leave(address)
