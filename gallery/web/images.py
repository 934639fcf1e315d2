"""Pictures: thumbnails, and the objects themselves as they are in the bucket."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from common import png
from common.runtime.logs import RateLimitedLogger
from common.store.base import ObjectBody, StoreError
from gallery.index.model import Entry
from gallery.state import State
from gallery.thumbnails.thumbnails import MEDIA_TYPE, NoThumbnail
from gallery.web.detail import entry_of
from gallery.web.rendering import gallery, local, render, zone

# An address never changes its face. A deleted face may stay in a browser for this long.
DAY = 86_400  # seconds
NOT_KEPT = {"Cache-Control": "private, max-age=30"}
WHOLE = 4_000_000  # bytes up to which an object is read before the answer begins
WORDS = {
    "not_image": ("not an image",),
    "too_large": ("too large", "to be shown"),
    "missing": ("no longer", "in the bucket"),
    "over": ("past its", "retention period"),
}
AWAY = ("the bucket does", "not answer")

_limited_log = RateLimitedLogger(logging.getLogger(__name__))


class Stream(StreamingResponse):
    """When the store fails on the way, the connection is closed before the answer is complete: the
    browser tells of a failed download, and keeps nothing that looks whole."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except StoreError as error:
            _limited_log.warn(error.reason, f"a download ended early: {error}")


async def thumb(request: Request) -> Response:
    """A thumbnail; where there can be none, a picture that says why."""
    entry = await entry_of(request)
    state, tag = gallery(request), _tag(entry, "t")
    if state.retention.kept.left(entry.stored) == 0:
        await state.store.run(state.thumbs.forget, [entry.ref])
        return _no_picture(request, "over")
    headers = {"ETag": tag, **_cache_headers(state, entry)}
    if _is_cached(request, tag):
        return Response(status_code=304, headers=headers)
    try:
        made = await state.thumbs.get(entry)
    except NoThumbnail as error:
        if error.reason == "missing":
            await state.deletions.forget([entry.ref])
        elif error.trouble is not None:
            state.standing.failed(error.trouble)
        return _no_picture(request, error.reason)
    return Response(made, 200, headers, MEDIA_TYPE)


def _no_picture(request: Request, reason: str) -> Response:
    text = render(request, "nothumb.svg", {"lines": WORDS.get(reason, AWAY)})
    return Response(text, 200, NOT_KEPT, "image/svg+xml")


def _cache_headers(state: State, entry: Entry) -> dict[str, str]:
    """How long a browser may keep a picture: no longer than the bucket does."""
    left = state.retention.kept.left(entry.stored)
    seconds = DAY if left is None else min(DAY, left)
    return {"Cache-Control": f"private, max-age={seconds}, immutable"}


async def image(request: Request) -> Response:
    """An object as it is: shown if it is a PNG, else to be downloaded only.

    Raises:
        HTTPException: 404 when it is gone, 503 when the store does not answer.
    """
    entry = await entry_of(request)
    state, tag = gallery(request), _tag(entry, "o")
    kept = {"ETag": tag, **_cache_headers(state, entry)}
    if _is_cached(request, tag):
        return Response(status_code=304, headers=kept)
    try:
        body = await state.store.run(state.bucket.get, entry.key)
        parts = body.chunks()
        first = await state.store.run(_begin_body, parts, body.size)
    except StoreError as error:
        state.standing.failed(error)
        if error.reason == "missing":
            await state.deletions.forget([entry.ref])
        raise _refusal_picture(error) from None
    state.standing.worked()
    shown = first.startswith(png.SIGNATURE)
    headers = {"Content-Length": str(body.size), **kept}
    if not shown or "download" in request.query_params:
        name = _file_name(entry, request, ".png" if shown else ".bin")
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    kind = "image/png" if shown else "application/octet-stream"
    if len(first) >= body.size:
        return Response(first, 200, headers, kind)
    return Stream(_rest(state, body, first, parts), 200, headers, kind)


def _begin_body(parts: Iterator[bytes], size: int) -> bytes:
    """In a worker: all of a small object, so that an error can be reported; else its start."""
    if size <= WHOLE:
        return b"".join(parts)
    return next(parts, b"")


async def _rest(
    state: State, body: ObjectBody, first: bytes, parts: Iterator[bytes]
) -> AsyncIterator[bytes]:
    """A large object; if the reader leaves, so do we."""
    try:
        yield first
        while (part := await state.store.run(next, parts, b"")) != b"":
            yield part
    finally:
        body.close()


def _tag(entry: Entry, kind: str) -> str:
    return f'"{kind}-{entry.ref}-{entry.stored:x}-{entry.size:x}"'


def _is_cached(request: Request, tag: str) -> bool:
    """Whether the browser has it (RFC 9110, section 13.1.2)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in re.findall(r'"[^"]*"', given)


def _refusal_picture(error: StoreError) -> HTTPException:
    if error.reason == "missing":
        return HTTPException(404, "This face is no longer in the bucket.")
    return HTTPException(503, f"The bucket cannot be read now ({error.reason}).")


def _file_name(entry: Entry, request: Request, suffix: str) -> str:
    """Of letters, digits and dashes, whatever the device calls itself."""
    when = local(entry.captured, zone(request)).strftime("%Y-%m-%d_%H-%M-%S")
    return safe_file_name(f"{entry.device}_{entry.camera}_{when}_{entry.ref[:6]}") + suffix


def safe_file_name(text: str) -> str:
    """A name that is safe as part of a path anywhere: no separators, nothing hidden, not empty."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:100]
    # Windows takes names such as `con` for devices, whatever follows a dot.
    return f"_{kept}" if re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)?(\.|\Z)", kept) else kept


def routes() -> list[Route]:
    return [Route("/thumb/{ref}", thumb), Route("/image/{ref}", image)]
