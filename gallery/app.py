"""The pages as one application: the guard before them, sign-in beside them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import ASGIApp

from gallery import pages
from gallery.access.first import first_user
from gallery.access.guard import Guard
from gallery.access.login import Login
from gallery.access.sessions import Sessions
from gallery.pages import errors
from gallery.state import State


def made(state: State) -> ASGIApp:
    """Raises SettingsError: there is no user, and none can be made."""
    settings = state.settings
    secure = bool(settings.http_cert)
    users = settings.users or first_user(settings.folder)
    sessions = Sessions(settings.folder / "sessions.db", users)
    login = Login(users, sessions, secure)
    app = Starlette(routes=[*login.routes(), *pages.routes()], exception_handlers=errors.handlers())
    app.state.gallery = state
    return Guard(app, sessions, secure)
