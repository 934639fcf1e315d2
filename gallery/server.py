"""The web server of the pages: uvicorn, within the service's own loop and signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from common.settings import SettingsError
from gallery.settings import GallerySettings

MAX_CONNECTIONS = 256
HEAD_WITHIN = (
    10.0  # seconds for the head of a request, so that nobody holds connections for nothing
)
SHUTDOWN = 2  # seconds for answers under way, when told to stop


class _ImpatientProtocol(H11Protocol):
    """Ends connections that have no request to make, which uvicorn keeps for ever."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit = self.loop.call_later(HEAD_WITHIN, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting and self._limit is not None:
            self._limit.cancel()
            self._limit = None
        elif waiting and self._limit is None:  # the head of a further request has begun
            self._limit = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        super().connection_lost(exc)


class PageServer(uvicorn.Server):
    """Use: `await serve(sockets=[listening(...)])`; it ends after `should_exit` is set."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the service's own: common/service.py."""
        yield


def create_server(app: ASGIApp, settings: GallerySettings) -> PageServer:
    """Raises OSError: the certificate cannot be used (any more)."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # an address that a client could choose would know no limit of tries
        lifespan="off",
        http=_ImpatientProtocol,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN,
    )
    config.load()
    config.ssl = settings.publication.context()
    return PageServer(config)


def open_socket(settings: GallerySettings) -> socket.socket:
    """Raises SettingsError: the address is taken, or is not one of this machine."""
    where = settings.http_host, settings.http_port
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        return socket.create_server(where, family=family, backlog=128)
    except OSError as error:
        text = f"cannot listen on {where[0]}:{where[1]}: {error.strerror or error}"
        raise SettingsError([f"HTTP_HOST and HTTP_PORT: {text}"]) from None
