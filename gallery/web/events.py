"""What is new, to the pages that are open: Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gallery.live import Event, Subscription, TooManyPages
from gallery.state import State
from gallery.store_health import StoreHealth
from gallery.web.rendering import gallery, trouble

QUIET = 20.0  # seconds after which a word is sent, or things in between would end the connection
# Each event has to pass a proxy at once: nginx buffers responses by default, and what is
# compressed may wait for more (RFC 9111, section 5.2.2.6).
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"
AGAIN = 3000  # milliseconds after which a browser whose connection ended comes again


async def live(request: Request) -> Response:
    if request.method == "HEAD":  # a stream without a body would have no end
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    user = request.scope["state"]["user"].name
    # What a browser says that comes again is newer than the address that it was given.
    after = request.headers.get("last-event-id") or request.query_params.get("after", "")
    return StreamingResponse(_stream(gallery(request), user, after), 200, HEADERS, MEDIA_TYPE)


async def _stream(state: State, user: str, after: str) -> AsyncIterator[str]:
    """Until the reader leaves; then Starlette cancels it, and the subscription ends."""
    yield f"retry: {AGAIN}\n\n"
    try:
        with state.hub.subscribe(user, after) as events:
            yield _line(Event("sync", state.sync.progress.facts()))
            yield _line(Event("store", _store(state.standing)))
            while True:
                yield await _next(events, state)
    except TooManyPages:
        yield _line(Event("full", {}))


async def _next(events: Subscription, state: State) -> str:
    try:
        async with asyncio.timeout(QUIET):
            event = await events.next()
    except TimeoutError:
        return ": quiet\n\n"
    return _line(Event("store", _store(state.standing)) if event.kind == "store" else event)


def _store(standing: StoreHealth) -> dict[str, str]:
    return {"text": trouble(standing) if standing.reason else ""}


def _line(event: Event) -> str:
    # json.dumps leaves no line break in it, whatever the text: no text can end the event.
    id = f"id: {event.id}\n" if event.id else ""
    return f"{id}event: {event.kind}\ndata: {json.dumps(event.data)}\n\n"


def routes() -> list[Route]:
    return [Route("/live", live)]
