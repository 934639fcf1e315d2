"""Answers that are long, and may break off."""

from __future__ import annotations

import logging

from starlette.responses import StreamingResponse
from starlette.types import Send

from common.store.base import StoreError

log = logging.getLogger(__name__)


class Stream(StreamingResponse):
    """When the store fails on the way, the connection is closed before the answer is complete: the
    browser tells of a failed download, and keeps nothing that looks whole."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except StoreError as error:
            log.warning("a download ended early: %s (%s)", error, error.reason)
