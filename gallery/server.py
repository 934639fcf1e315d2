"""The web server of the pages: uvicorn, within the service's own loop and signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from common.settings import SettingsError
from gallery.connections import Listener, PageProtocol
from gallery.settings import GallerySettings

SHUTDOWN = 2  # seconds to finish responses when the gallery stops


class PageServer(uvicorn.Server):
    """Use: `await serve(sockets=[open_socket(...)])`; it ends after `should_exit` is set."""

    _listener: Listener

    def __init__(self, config: uvicorn.Config, proxies: str) -> None:
        super().__init__(config)
        self._proxies = proxies

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the service's own: common/service.py."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with limits of our own: uvicorn's would apply behind TLS only."""
        [sock] = sockets or []
        self._listener = Listener(sock, self.config.ssl, self._create_protocol, self._proxies)
        self.servers = []
        self.started = True

    async def main_loop(self) -> None:
        accepting = asyncio.create_task(self._listener.accept())
        try:
            await super().main_loop()
        finally:
            accepting.cancel()

    def _create_protocol(self) -> PageProtocol:
        return PageProtocol(self.config, self.server_state, {})


def create_server(
    app: ASGIApp, context: ssl.SSLContext | None, trusted_proxy: str = ""
) -> PageServer:
    """`context`: None is without TLS. `trusted_proxy`: as in HTTP_TRUSTED_PROXY."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # gallery/auth/proxy.py believes none but HTTP_TRUSTED_PROXY
        lifespan="off",
        loop="asyncio",
        http=PageProtocol,
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN,
    )
    config.load()
    config.ssl = context
    return PageServer(config, trusted_proxy)


def open_socket(settings: GallerySettings) -> socket.socket:
    """Raises SettingsError: the address is taken, or is not one of this machine."""
    where = settings.http_host, settings.http_port
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    try:
        return socket.create_server(where, family=family, backlog=1024)
    except OSError as error:
        text = f"cannot listen on {where[0]}:{where[1]}: {error.strerror or error}"
        raise SettingsError([f"HTTP_HOST and HTTP_PORT: {text}"]) from None
