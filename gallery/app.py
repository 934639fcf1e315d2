"""The pages as one application: the guard before them, sign-in beside them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from common.settings import SettingsError
from gallery import web
from gallery.auth.bootstrap import first_user
from gallery.auth.middleware import AccessMiddleware
from gallery.auth.proxy import ProxyMiddleware
from gallery.auth.sessions import Sessions
from gallery.state import State
from gallery.web import errors
from gallery.web.login import LoginPage


def create_app(state: State) -> ASGIApp:
    """Raises SettingsError: there is no user, or HTTP_PATH is one of the gallery's pages."""
    settings = state.settings
    users = settings.users or first_user(settings.folder)
    sessions = Sessions(settings.folder / "sessions.db", users)
    routes = [*LoginPage(users, sessions).routes(), *web.routes()]
    _check_path(settings.path, routes)
    app = Starlette(routes=routes, exception_handlers=errors.handlers())
    app.router.redirect_slashes = False  # to an absolute address, which a proxy's client cannot use
    app.state.gallery = state
    names = settings.publication.host_names
    guarded = AccessMiddleware(app, sessions, names, tls=bool(settings.http_cert))
    return ProxyMiddleware(guarded, settings.path, settings.trusted_proxy)


def _check_path(path: str, routes: list[BaseRoute]) -> None:
    """Below a path like /face nobody could tell whether a proxy has taken it away from /face/1."""
    own = {route.path.split("/")[1] for route in routes if isinstance(route, (Mount, Route))}
    if path and path.split("/")[1] in own:
        raise SettingsError(
            [f"HTTP_PATH={path} is the path of a page of the gallery: choose another"]
        )
