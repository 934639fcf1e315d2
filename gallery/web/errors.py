"""Error responses: a page for people, JSON for scripts."""

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
    400: "Bad request",
    403: "Access denied",
    404: "Not found",
    405: "Method not allowed",
    409: "The selection has changed",
    413: "Request too large",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}
SENTENCES = {
    404: "This page does not exist.",
    405: "This address does not accept that kind of request.",
    500: "An error occurred in the gallery. Its log has the details.",
}


def answer(
    request: Request, status: int, sentence: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    sentence = sentence or SENTENCES.get(status, "This request cannot be processed.")
    if is_page_load(request.headers):
        title = TITLES.get(status, TITLES[400])
        made: Response = page(
            request, "error.html", status, title=title, sentence=sentence, code=status
        )
    else:
        made = JSONResponse({"error": sentence}, status, PRIVATE)
    made.headers.update(headers or {})
    return made


async def _http_error(request: Request, error: Any) -> Response:
    # Starlette's own, such as `Not Found`, say no more than their number.
    own = type(error) is HTTPException and error.detail.istitle() and len(error.detail) < 30
    return answer(request, error.status_code, "" if own else error.detail, error.headers)


async def _store_error(request: Request, error: Any) -> Response:
    """The store or the index has failed; a later request may succeed."""
    gallery(request).standing.failed(error)
    return answer(request, 503, f"This is not possible right now ({error.reason}): {error}.")


async def _unexpected_error(request: Request, error: Any) -> Response:
    _limited_log.error("fault", f"unexpected error at {request.url.path}", error)
    return answer(request, 500)


def handlers() -> dict[Any, Any]:
    """For Starlette(exception_handlers=...)."""
    return {HTTPException: _http_error, StoreError: _store_error, Exception: _unexpected_error}
