"""Checks every request to the pages: who sends it, from where, and with which role."""

from __future__ import annotations

import asyncio
import urllib.parse

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.http.names import HostNames
from gallery import metrics
from gallery.auth.denied import DeniedRequest, create_refusal, is_page_load
from gallery.auth.headers import harden
from gallery.auth.origins import SAFE, is_local_path, is_ours
from gallery.auth.proxy import base_of, cookie
from gallery.auth.request_body import MAX_BODY, MAX_LOGIN, read_body, replay_body
from gallery.auth.sessions import Session, Sessions


class AccessMiddleware:
    """An ASGI app that passes permitted requests to `app`, and refuses the rest.

    It sets `user` (User) and `session` in the state of a request; both may be None for /login and
    /static/, which are open to everyone.

    names: the host names under which the pages may be requested.
    tls: the pages are served by TLS, by the gallery itself.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, names: HostNames, tls: bool) -> None:
        self._app = app
        self._sessions = sessions
        self._names = names
        self._tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, harden(send, self._tls))
        else:  # a WebSocket, of which we have none
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            session, receive = await self._admit(scope, headers, receive)
        except DeniedRequest as refused:
            response = self._refuse(scope, headers, refused.reason)
            await response(scope, receive, send)
            return
        if session is None:
            await self._app(scope, receive, send)
        else:
            await self._until_it_ends(session, scope, receive, send)

    async def _admit(
        self, scope: Scope, headers: Headers, receive: Receive
    ) -> tuple[Session | None, Receive]:
        """The session of a request, and its body, if it was read.

        Raises:
            Refused: it is not let through.
        """
        method, path = scope["method"], scope["path"]
        if not self._names.knows(headers.get("host", "")):
            raise DeniedRequest("host")
        if not is_ours(method, scope["scheme"], headers):
            raise DeniedRequest("origin")
        token = Request(scope).cookies.get(cookie("session", scope), "")
        session = self._sessions.find(token)
        state = scope.setdefault("state", {})
        state["session"] = session
        state["user"] = session.user if session else None
        if path == "/login" and method == "POST":
            return session, replay_body(await read_body(receive, headers, MAX_LOGIN), receive)
        if method in ("GET", "HEAD") and _is_open(path):
            return session, receive
        if session is None:
            raise DeniedRequest("signed_out")
        if method in SAFE:
            return session, receive
        return session, replay_body(await read_body(receive, headers, MAX_BODY), receive)

    def _refuse(self, scope: Scope, headers: Headers, reason: str) -> Response:
        if reason == "signed_out" and is_page_load(headers):
            return RedirectResponse(self._login(scope), 303)
        metrics.REFUSED.labels(reason).inc()
        return create_refusal(reason, headers)

    def _login(self, scope: Scope) -> str:
        query: dict[str, str] = {}
        if scope["method"] in SAFE:
            target = is_local_path(_target(scope))
            query |= {"next": target} if target != "/" else {}
        if cookie("session", scope) in Request(scope).cookies:
            query["why"] = "ended"
        return f"{base_of(scope)}/login" + (
            f"?{urllib.parse.urlencode(query, safe='/')}" if query else ""
        )

    async def _until_it_ends(
        self, session: Session, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """An answer without an end, such as what is new, ends with its session."""
        complete = False

        async def sending(message: Message) -> None:
            nonlocal complete
            if message["type"] == "http.response.start" and _is_stream(message):
                left = self._sessions.remaining(session)
                limit.reschedule(asyncio.get_running_loop().time() + left)
                session.streams.add(limit)
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            async with asyncio.timeout(None) as limit:
                await self._app(scope, receive, sending)
        except TimeoutError:
            if not limit.expired():
                raise
            if not complete:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            session.streams.discard(limit)


def _is_open(path: str) -> bool:
    return path == "/login" or (path.startswith("/static/") and ".." not in path)


def _is_stream(message: Message) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return kind.startswith("text/event-stream")


def _target(scope: Scope) -> str:
    """Path and query of the request, still encoded."""
    raw: bytes = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("latin-1")
