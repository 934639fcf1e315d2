"""What went wrong: to people as a page, to scripts as JSON."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from common.runtime.logs import RateLimitedLogger
from common.store.base import StoreError
from gallery.auth.denied import is_page_load
from gallery.web.rendering import PRIVATE, gallery, page

_limited_log = RateLimitedLogger(logging.getLogger(__name__))

TITLES = {
    400: "That is not clear",
    403: "Not for you",
    404: "Not here",
    405: "Not so",
    409: "It has changed meanwhile",
    413: "Too much",
    429: "Too often",
    500: "Something is broken",
    503: "Not now",
}
SENTENCES = {
    404: "There is no such page.",
    405: "This page is not asked for in this way.",
    500: "This is a fault of the gallery, and stands in its log.",
}


def answer(
    request: Request, status: int, sentence: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    sentence = sentence or SENTENCES.get(status, "This cannot be done.")
    if is_page_load(request.headers):
        title = TITLES.get(status, TITLES[400])
        made: Response = page(
            request, "error.html", status, title=title, sentence=sentence, code=status
        )
    else:
        made = JSONResponse({"error": sentence}, status, PRIVATE)
    made.headers.update(headers or {})
    return made


async def _refused(request: Request, error: Any) -> Response:
    # Starlette's own, such as `Not Found`, say no more than their number.
    own = type(error) is HTTPException and error.detail.istitle() and len(error.detail) < 30
    return answer(request, error.status_code, "" if own else error.detail, error.headers)


async def _away(request: Request, error: Any) -> Response:
    """The store or the index has not done its part, and will again."""
    gallery(request).standing.failed(error)
    return answer(request, 503, f"This cannot be done now ({error.reason}): {error}.")


async def _broken(request: Request, error: Any) -> Response:
    _limited_log.error("fault", f"a bug, met at {request.url.path}", error)
    return answer(request, 500)


def handlers() -> dict[Any, Any]:
    """For Starlette(exception_handlers=...)."""
    return {HTTPException: _refused, StoreError: _away, Exception: _broken}
