"""Whose page a request comes from, as its browser says."""

from __future__ import annotations

import urllib.parse

from starlette.datastructures import Headers

SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
OWN = ("same-origin", "none")  # by one of our pages, or by the person


def is_ours(method: str, scheme: str, headers: Headers) -> bool:
    """Whether a request may come from where it comes. Links to the gallery may be anywhere.

    What tells nothing is no browser: it has no cookie of anybody else's, either.
    """
    site = headers.get("sec-fetch-site")  # sent by TLS and on loopback only
    if method in SAFE:
        return site is None or site in OWN or _is_followed_link(headers)
    if site is not None:
        return site in OWN
    origin = headers.get("origin")
    return origin is None or _is_host(origin, scheme, headers.get("host", ""))


def _is_followed_link(headers: Headers) -> bool:
    """A page of its own, and not one in a frame or an image of another's."""
    return (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _is_host(origin: str, scheme: str, host: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(origin)
    except ValueError:
        return False
    # A proxy in front may add TLS; nothing takes it away.
    schemes = ("https",) if scheme == "https" else ("http", "https")
    return parts.scheme in schemes and parts.netloc.lower() == host.lower() != ""


def is_local_path(path: str) -> str:
    """`path` if it leads to one of our pages, whatever browsers make of it; else the first page."""
    odd = any(sign < "!" or sign == "\\" or sign == "\x7f" for sign in path)
    if odd or not path.startswith("/") or path.startswith("//") or len(path) > 2000:
        return "/"
    page = path.partition("?")[0].partition("#")[0]
    return "/" if page in ("/login", "/logout") else path
