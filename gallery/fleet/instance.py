"""One service of one device: whether it is heard, and how fast it works."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

from common.mqtt import DAY
from gallery.fleet.status_reader import StatusReport

SILENT_AFTER = 3  # periods without a new message
LEAST = 1.0  # seconds between two messages of which a rate can be told

Clock = Callable[[], float]


class InstanceName(NamedTuple):
    """As in its topic."""

    device: str
    service: str
    instance: str


@dataclasses.dataclass
class Rates:
    """Per second, between the last two messages."""

    frames: float | None = None
    skipped: float | None = None
    faces: float | None = None


@dataclasses.dataclass
class RateMeter:
    """What arrived since the last sample."""

    seconds: float = 0.0  # over which the counts below go
    frames: float | None = None
    faces: float | None = None
    dropped: float | None = None
    waiting: float | None = None  # the most that waited
    round_trip: float | None = None

    def add(self, seconds: float, now: StatusReport, before: StatusReport) -> None:
        self.seconds += seconds
        self.frames = _sum(self.frames, _increase(now.frames, before.frames))
        self.faces = _sum(self.faces, _increase(now.faces, before.faces))
        dropped = sum(now.dropped.values()), sum(before.dropped.values())
        self.dropped = _sum(self.dropped, _increase(*dropped))

    def look(self, now: StatusReport) -> None:
        if now.waiting is not None:
            self.waiting = max(self.waiting or 0.0, now.waiting)
        if now.round_trip is not None:
            self.round_trip = now.round_trip


class Instance:
    """One instance of a service. Our clock decides whether it is online; its own may be wrong.

    `heard` is time.monotonic() of the last message that was surely new, None until there is one;
    `since` is seconds since 1970 of it, as far as that is known from elsewhere, too.
    """

    def __init__(
        self, name: InstanceName, since: float | None = None, ticks: Clock = time.monotonic
    ) -> None:
        self.name = name
        self.message: StatusReport | None = None
        self.heard: float | None = None
        self.since = since
        self.connection = -1  # number of our own connection over which the last one came
        self.rates = Rates()
        self._ticks = ticks
        self._base: tuple[StatusReport, float] | None = None  # what rates are reckoned from
        self._tally = RateMeter()
        self._certificate_end: float | None = None

    def take(self, message: StatusReport, connection: int, wall: float) -> None:
        """A message that came now, over our connection of this number.

        The first one of each connection was retained: nobody knows how long ago it was sent, but
        by its sender's clock, if that agrees with ours. And a forwarder sends the same ones again.
        """
        retained = connection != self.connection
        self.connection = connection
        if message == self.message:
            return
        now = self._ticks()
        first, self.message = self.message is None, message
        if not retained:
            self.heard, self.since = now, wall
        elif (age := _age_of(message, wall)) is not None:
            self.heard, self.since = now - age, wall - age
        elif message.online and message.at is not None and message.at <= wall:
            self.since = max(message.at, self.since or 0.0)
        if message.certificate_days is not None:
            self._certificate_end = (self.since or wall) + message.certificate_days * DAY
        self._reckon(message, now, first)

    def _reckon(self, message: StatusReport, now: float, first: bool) -> None:
        self._tally.look(message)
        if first or self._base is None or not message.online:
            self._base, self.rates = (message, now) if message.online else None, Rates()
            return
        before, at = self._base
        seconds = _seconds_between(before, message, now - at)
        if seconds is not None and 0 <= seconds < LEAST:
            return  # one more in between, as at a new connection
        self._base, self.rates = (message, now), Rates()
        if seconds is not None and seconds > 0:
            self._tally.add(seconds, message, before)
            self.rates = Rates(
                *(
                    None if more is None else more / seconds
                    for more in (
                        _increase(message.frames, before.frames),
                        _increase(message.skipped, before.skipped),
                        _increase(message.faces, before.faces),
                    )
                )
            )

    @property
    def state(self) -> str:
        """`online`, `degraded`, `offline` (it is said to be), or `silent` (not heard since)."""
        message = self.message
        if message is not None and not message.online:
            return "offline"
        if message is None or self.heard is None:
            return "silent"
        if self._ticks() - self.heard >= SILENT_AFTER * message.period:
            return "silent"
        return "degraded" if message.reasons else "online"

    def certificate_days(self, wall: float) -> float | None:
        """They go on running out when it is silent."""
        return None if self._certificate_end is None else (self._certificate_end - wall) / DAY

    def sampled(self) -> RateMeter | None:
        """What came since this was asked last; None when it was not heard."""
        tally, self._tally = self._tally, RateMeter()
        return tally if tally.seconds else None


def _age_of(message: StatusReport, wall: float) -> float | None:
    """Seconds since it was sent, if its sender's clock seems to agree with ours."""
    if message.at is None or abs(wall - message.at) >= SILENT_AFTER * message.period:
        return None
    return max(0.0, wall - message.at)


def _seconds_between(before: StatusReport, now: StatusReport, passed: float) -> float | None:
    """Seconds between two messages by their sender's clock, which does not count the way here.

    None when the clock was set meanwhile, for all that can be seen.
    """
    if now.at is None or before.at is None:
        return passed
    seconds = now.at - before.at
    return seconds if abs(seconds - passed) < SILENT_AFTER * now.period else None


def _increase(now: float | None, before: float | None) -> float | None:
    """None when it does not count, or has started over."""
    return None if now is None or before is None or now < before else now - before


def _sum(one: float | None, other: float | None) -> float | None:
    return one if other is None else (one or 0.0) + other
