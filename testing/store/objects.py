"""Objects to put into a store, and a count of what was asked of it."""

from __future__ import annotations

import hashlib

from common.store.base import NewObject

KEY = "box-1/cam-1/2026-03-01/face_1772409599123_0123abcd.png"


class Counts:
    def __init__(self) -> None:
        self.requests: list[str] = []
        self.failures: list[str] = []


def new(key: str = KEY, body: bytes = b"some bytes", **facts: str) -> NewObject:
    return NewObject(key, body, "image/png", facts, hashlib.sha256(body).hexdigest())
