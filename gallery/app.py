"""The pages as one application: the guard before them, sign-in beside them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import ASGIApp

from gallery import web
from gallery.auth.bootstrap import first_user
from gallery.auth.middleware import AccessMiddleware
from gallery.auth.sessions import Sessions
from gallery.state import State
from gallery.web import errors
from gallery.web.login import LoginPage


def create_app(state: State) -> ASGIApp:
    """Raises SettingsError: there is no user, and none can be made."""
    settings = state.settings
    secure = bool(settings.http_cert)
    users = settings.users or first_user(settings.folder)
    sessions = Sessions(settings.folder / "sessions.db", users)
    login = LoginPage(users, sessions, secure)
    app = Starlette(routes=[*login.routes(), *web.routes()], exception_handlers=errors.handlers())
    app.state.gallery = state
    return AccessMiddleware(app, sessions, secure)
