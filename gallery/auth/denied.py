"""Answers to requests that are not let through: to people in a sentence, to scripts in JSON."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response

from common.http.names import ADVICE, UNKNOWN

REASONS = {
    "host": (UNKNOWN, ADVICE),
    "signed_out": (401, "You are not signed in. Please sign in first."),
    "origin": (403, "Only the gallery's own pages may request this."),
    "read_only": (403, "Viewers cannot delete. This requires the role admin."),
    "slow": (408, "The request took too long."),
    "too_large": (413, "The request is too large."),
}


class DeniedRequest(Exception):
    """A request that is refused; `reason` is a key of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def is_page_load(headers: Headers) -> bool:
    """Does the browser show the answer as a page?"""
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in headers.get("accept", "")


def create_refusal(reason: str, headers: Headers) -> Response:
    status, sentence = REASONS[reason]
    more = {"WWW-Authenticate": 'Cookie realm="facepipe gallery"'} if status == 401 else {}
    if reason in ("slow", "too_large"):
        more["Connection"] = "close"  # what is left of the request is not waited for
    if is_page_load(headers):
        return PlainTextResponse(f"{sentence}\n", status, more)
    return JSONResponse({"reason": reason, "error": sentence}, status, more)
