"""Times of day, and whether to believe them."""

from __future__ import annotations

import datetime

_SET_AFTER = 2024  # a clock that shows an earlier year has not been set since power came on


def utc(seconds: float) -> str:
    """RFC 3339, UTC, microseconds, of seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(moment: str) -> float:
    """Seconds since 1970 of what `utc` made."""
    return datetime.datetime.fromisoformat(moment).timestamp()


def state(seconds: float) -> str:
    """`set`, or `unset` for a time that only a clock without battery shows after boot."""
    year = datetime.datetime.fromtimestamp(seconds, datetime.UTC).year
    return "set" if year >= _SET_AFTER else "unset"
