"""Live updates for the open pages."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import secrets
from collections.abc import Iterator
from typing import Any

from gallery import metrics

MAX_PAGES = 100  # open at a time
MAX_PAGES_EACH = 30  # of one user
WAITING = 50  # events that wait for one page, at most
LASTING = ("faces", "gone")  # what a page would miss for good: all else is said again


class TooManyPages(Exception):
    """There are MAX_PAGES already."""


@dataclasses.dataclass(frozen=True)
class Event:
    """kind: faces, gone, status, job, store or sync; missed, when some did not reach the page.

    id: how far a page is that has it; empty when that changes nothing.
    """

    kind: str
    data: dict[str, Any]
    id: str = ""


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
        self._start = secrets.token_hex(4)  # ids of another run of the gallery say nothing here
        self._count = 0
        self._recent: collections.deque[Event] = collections.deque(maxlen=WAITING)
        metrics.VIEWERS.set_function(lambda: len(self._pages))

    @property
    def watched(self) -> bool:
        """Whether any page is open."""
        return bool(self._pages)

    @property
    def position(self) -> str:
        """The id of the newest event: a page that is made now shows all up to it."""
        return f"{self._start}-{self._count}"

    @contextlib.contextmanager
    def subscribe(self, user: str = "", after: str = "") -> Iterator[Subscription]:
        """Events from now on, and before them those behind the id `after`, if it is given.

        Raises TooManyPages: all together, or of this user.
        """
        mine = sum(page.user == user for page in self._pages)
        if len(self._pages) >= MAX_PAGES or mine >= MAX_PAGES_EACH:
            raise TooManyPages
        page = Subscription(user)
        if after:
            self._replay(page, after)
        self._pages.add(page)
        try:
            yield page
        finally:
            self._pages.discard(page)

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        event = Event(kind, data)
        if kind in LASTING:
            self._count += 1
            event = dataclasses.replace(event, id=self.position)
            self._recent.append(event)
        for page in self._pages:
            page.put(event)

    def _replay(self, page: Subscription, after: str) -> None:
        ids = [f"{self._start}-{self._count - len(self._recent)}"]
        ids += [event.id for event in self._recent]
        missed = [Event("missed", {})]
        for event in list(self._recent)[ids.index(after) :] if after in ids else missed:
            page.put(event)
