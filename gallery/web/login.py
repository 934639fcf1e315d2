"""The page where one signs in, and the way out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from common.runtime.logs import RateLimitedLogger
from common.runtime.workers import Workers
from gallery import metrics
from gallery.auth.limits import LoginLimits
from gallery.auth.origins import is_local_path
from gallery.auth.proxy import base_of, cookie, is_secure, without_base
from gallery.auth.request_body import parse_fields
from gallery.auth.sessions import LONGEST, Sessions
from gallery.auth.users import NAME, Account, Users
from gallery.web import rendering

log = logging.getLogger(__name__)

KNOWN_FOR = 90 * 86_400  # seconds for which a browser that was signed in stays known
MESSAGES = {"out": "You have signed out.", "ended": "Your session has ended. Please sign in again."}
WRONG = "Wrong name or password."


class LoginPage:
    """GET and POST /login, POST /logout, behind AccessMiddleware."""

    def __init__(self, users: Users, sessions: Sessions, limits: LoginLimits | None = None) -> None:
        self._users = users
        self._sessions = sessions
        self._limits = limits or LoginLimits()
        self._worker = Workers("passwords")  # one at a time: each takes 19 MiB
        self._limited_log = RateLimitedLogger(log)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._try, methods=["POST"]),
            Route("/logout", self._out, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        onward = _onward(request, request.query_params)
        if request.state.user is not None:
            return RedirectResponse(base_of(request.scope) + onward, 303)
        message = MESSAGES.get(request.query_params.get("why", ""), "")
        return _page(request, 200, onward, message=message)

    async def _try(self, request: Request) -> Response:
        given = parse_fields(await request.body(), request.headers)
        name = given.get("username", "").strip().lower()
        onward = _onward(request, given)
        address = _address(request)
        cookies = request.cookies.get(cookie("known", request.scope), "")
        device = self._sessions.device(cookies, name)
        wait = self._limits.take(address, device)
        if wait > 0:
            return self._limited(request, name, onward, wait)
        account = await self._worker.run(self._users.check, name, given.get("password", ""))
        if account is None:
            metrics.LOGINS_REFUSED.labels("password").inc()
            # People type passwords where names belong: only the name of a user is logged.
            known = name if self._users.get(name) else "an unknown name"
            log.warning("login refused: %s, from %s", known, address)
            return _again(request, 401, name, onward, WRONG)
        self._limits.give_back(address, device)
        log.info("%s (%s) signed in from %s", name, account.user.role, address)
        return await self._welcome(request, account, onward)

    async def _welcome(self, request: Request, account: Account, onward: str) -> Response:
        if request.state.session is not None:
            await self._sessions.end(request.state.session)
        metrics.LOGINS.inc()
        response = RedirectResponse(base_of(request.scope) + onward, 303)
        token = await self._sessions.begin(account)
        _set(request, response, "session", token, int(LONGEST))
        _set(request, response, "known", self._sessions.device_cookie(account), KNOWN_FOR)
        return response

    def _limited(self, request: Request, name: str, onward: str, wait: float) -> Response:
        address = _address(request)
        metrics.LOGINS_REFUSED.labels("limited").inc()
        self._limited_log.warn("limited", f"login refused: too many attempts, now from {address}")
        seconds = math.ceil(wait)
        when = "1 second" if seconds == 1 else f"{seconds} seconds"
        response = _again(request, 429, name, onward, f"Too many attempts. Try again in {when}.")
        response.headers["Retry-After"] = str(seconds)
        return response

    async def _out(self, request: Request) -> Response:
        user, address = request.state.user, _address(request)
        await self._sessions.end(request.state.session)
        log.info("%s signed out from %s", user.name, address)
        response = RedirectResponse(f"{base_of(request.scope)}/login?why=out", 303)
        response.delete_cookie(cookie("session", request.scope), **_rules(request))
        # Pictures that the browser keeps are not for whoever sits there next.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


def _onward(request: Request, given: Mapping[str, str]) -> str:
    """The page that was requested before the login."""
    return is_local_path(without_base(given.get("next", "/"), base_of(request.scope)))


def _address(request: Request) -> str:
    return request.client.host if request.client else "nowhere"


def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(cookie(name, request.scope), value, max_age=seconds, **_rules(request))


def _rules(request: Request) -> dict[str, Any]:
    """Where and when a browser sends a cookie."""
    return {
        "path": f"{base_of(request.scope)}/",
        "secure": is_secure(request.scope),
        "httponly": True,
        "samesite": "lax",
    }


def _again(request: Request, status: int, name: str, onward: str, error: str) -> Response:
    sound = name if NAME.fullmatch(name) else ""
    response = _page(request, status, onward, error=error, name=sound)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Cookie realm="facepipe gallery"'
    return response


def _page(request: Request, status: int, onward: str, **texts: str) -> Response:
    context = {"base": base_of(request.scope), "message": "", "error": "", "name": "", **texts}
    template = rendering.environment().get_template("login.html")
    return HTMLResponse(template.render(onward=onward, **context), status)
