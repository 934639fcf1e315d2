"""The body of a request that wants to change something: read whole, in limits, and handed on."""

from __future__ import annotations

import asyncio
import urllib.parse

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from gallery.auth.denied import DeniedRequest

MAX_BODY = 1_000_000  # bytes: the refs of 40,000 faces
MAX_LOGIN = 16_000  # of somebody whom we do not know yet
WITHIN = 20.0  # seconds for all of it
FORM = "application/x-www-form-urlencoded"


async def read_body(receive: Receive, headers: Headers, most: int) -> bytes:
    """All of a body.

    Raises:
        Refused: too_large, or slow; also when the browser leaves meanwhile.
    """
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:12]) > most:
        raise DeniedRequest("too_large")
    body = bytearray()
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DeniedRequest("slow")
                body += message.get("body", b"")
                if len(body) > most:
                    raise DeniedRequest("too_large")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise DeniedRequest("slow") from None


def replay_body(body: bytes, receive: Receive) -> Receive:
    """`receive` for the app, with a body that has been read already."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return first.pop() if first else await receive()

    return receiving


def parse_fields(body: bytes, headers: Headers) -> dict[str, str]:
    """The fields of a form, the first of each name; none if it is no urlencoded form."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return {}
    pairs = urllib.parse.parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True)
    return dict(reversed(pairs))
