"""A small app behind the gallery's guard, served by a real uvicorn, and a browser to ask it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import http.cookies
import socket
import ssl
import threading
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from common.http.exposure import Exposure
from gallery.auth import passwords
from gallery.auth.limits import LoginLimits
from gallery.auth.middleware import AccessMiddleware
from gallery.auth.roles import needs_admin
from gallery.auth.sessions import Sessions
from gallery.auth.users import Account, User, Users
from gallery.server import create_server
from gallery.web import static_files
from gallery.web.login import LoginPage
from testing.host.wait import until

PASSWORD, OTHER = "correct horse", "battery staple"
ADA = Account(User("ada", "admin"), passwords.hash_password(PASSWORD))
VIC = Account(User("vic", "viewer"), passwords.hash_password(OTHER))
USERS = Users([ADA, VIC])


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def _home(request: Request) -> Response:
    user = request.state.user
    return JSONResponse({"user": user.name, "role": user.role})


async def _page(request: Request) -> Response:
    """As far as a page has to do with access: its name, and the way out."""
    return HTMLResponse(
        f"<!doctype html><html lang=en><title>{request.state.user.name}</title><h1>Faces</h1>"
        "<form method=post action=/logout><button>Sign out</button></form>"
    )


async def _image(_: Request) -> Response:
    return Response(b"PNG", media_type="image/png", headers={"Cache-Control": "private"})


async def _echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


@needs_admin
async def _delete(_: Request) -> Response:
    return PlainTextResponse("deleted")


async def _broken(_: Request) -> Response:
    raise ZeroDivisionError


async def _live(_: Request) -> Response:
    async def events() -> AsyncIterator[str]:
        yield "data: first\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(events(), media_type="text/event-stream")


async def _endless(_: Request) -> Response:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0)  # once the reader has gone, sending waits for nothing

    return StreamingResponse(zeros(), media_type="application/zip")


class Guarded:
    """`with Guarded(folder, users) as app`; its clocks are in the hands of the test."""

    def __init__(self, folder: Path, users: Users, publication: Exposure | None = None) -> None:
        self.clock = Clock()  # of sessions and of limits
        place = publication or Exposure("127.0.0.1", "", "", "")
        self.sessions = Sessions(folder / "sessions.db", users, self.clock)
        login = LoginPage(users, self.sessions, LoginLimits(self.clock))
        routes = [
            Route("/", _home),
            Route("/page", _page),
            Route("/image/{ref}", _image),
            Route("/echo", _echo, methods=["POST"]),
            Route("/delete", _delete, methods=["POST"]),
            Route("/broken", _broken),
            Route("/live", _live),
            Route("/endless", _endless),
            *static_files.routes(),
        ]
        app = Starlette(routes=[*routes, *login.routes()])
        guard = AccessMiddleware(app, self.sessions, place.host_names, tls=bool(place.cert))
        self._socket = socket.create_server((place.host, 0))
        self._server = create_server(guard, place.context())
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), daemon=True
        )

    def __enter__(self) -> Guarded:
        self._thread.start()
        until(lambda: self._server.started)
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)
        self.sessions.close()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def goes_to(self) -> str:
        return str(self.headers["Location"])


class Browser:
    """Keeps cookies, and tells what browsers tell; any header can be replaced, or left out."""

    def __init__(self, app: Guarded, context: ssl.SSLContext | None = None) -> None:
        self._app = app
        self._context = context
        self.cookies: dict[str, str] = {}

    def connection(self) -> http.client.HTTPConnection:
        if self._context is not None:
            return http.client.HTTPSConnection(
                "127.0.0.1", self._app.port, timeout=10, context=self._context
            )
        return http.client.HTTPConnection("127.0.0.1", self._app.port, timeout=10)

    def headers(self, **given: str | None) -> dict[str, str]:
        headers: dict[str, str | None] = {"sec-fetch-site": "same-origin"}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        headers |= {name.replace("_", "-").lower(): text for name, text in given.items()}
        return {name: text for name, text in headers.items() if text is not None}

    def ask(
        self, method: str, path: str, body: bytes | None = None, /, **headers: str | None
    ) -> Answer:
        connection = self.connection()
        try:
            # An answer such as 413 may come, and the connection end, before all of a body is sent.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, path, body, self.headers(**headers))
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie", []):
            for name, morsel in http.cookies.SimpleCookie(line).items():
                self.cookies.pop(name, None)
                if morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
        return answer

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask("GET", path, **headers)

    def load(self, path: str, **headers: str | None) -> Answer:
        """As the address bar does."""
        page = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
        return self.get(path, **({"sec_fetch_site": "none"} | page | headers))

    def post(self, path: str, fields: dict[str, str], **headers: str | None) -> Answer:
        body = urllib.parse.urlencode(fields).encode()
        kind = {"content_type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, body, **(kind | headers))

    def login(self, name: str, password: str, **fields: str) -> Answer:
        return self.post("/login", {"username": name, "password": password, **fields})


def signed_in(app: Guarded, name: str, password: str) -> Browser:
    browser = Browser(app)
    assert browser.login(name, password).status == 303
    return browser


def read_counter(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"facepipe_gallery_{name}_total", labels) or 0.0
