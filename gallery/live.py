"""Live updates for the open pages."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from gallery import metrics

MAX_PAGES = 100  # open at a time
MAX_PAGES_EACH = 30  # of one user
WAITING = 50  # events that wait for one page, at most


class TooManyPages(Exception):
    """There are MAX_PAGES already."""


@dataclasses.dataclass(frozen=True)
class Event:
    """kind: faces, gone, status, job or sync; missed, when a page was too slow for some of them."""

    kind: str
    data: dict[str, Any]


class Subscription:
    """One page's events; a slow page misses the oldest, and gets an event that says so."""

    def __init__(self, user: str = "") -> None:
        self.user = user
        self._events: collections.deque[Event] = collections.deque()
        self._some = asyncio.Event()
        self._missed = False

    def put(self, event: Event) -> None:
        if len(self._events) >= WAITING:
            self._events.popleft()
            self._missed = True
        self._events.append(event)
        self._some.set()

    async def next(self) -> Event:
        await self._some.wait()
        if self._missed:
            self._missed = False
            return Event("missed", {})
        event = self._events.popleft()
        if not self._events:
            self._some.clear()
        return event


class EventHub:
    """All calls from the event loop."""

    def __init__(self) -> None:
        self._pages: set[Subscription] = set()
        metrics.VIEWERS.set_function(lambda: len(self._pages))

    @property
    def watched(self) -> bool:
        """Whether any page is open."""
        return bool(self._pages)

    @contextlib.contextmanager
    def subscribe(self, user: str = "") -> Iterator[Subscription]:
        """Raises TooManyPages: all together, or of this user."""
        mine = sum(page.user == user for page in self._pages)
        if len(self._pages) >= MAX_PAGES or mine >= MAX_PAGES_EACH:
            raise TooManyPages
        page = Subscription(user)
        self._pages.add(page)
        try:
            yield page
        finally:
            self._pages.discard(page)

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        for page in self._pages:
            page.put(Event(kind, data))
