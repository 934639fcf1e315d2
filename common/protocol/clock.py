"""Timestamps in RFC 3339, and whether a clock has been set."""

from __future__ import annotations

import datetime

LATEST = 253_402_300_799.999  # seconds since 1970: the end of the last year that a date has
_LONGEST = 64  # characters of a time that is read
_SET_AFTER = 2024  # a clock that shows an earlier year has not been set since power came on


def to_rfc3339(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with microseconds."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_rfc3339(moment: str) -> float:
    """Seconds since 1970 of a text by `to_rfc3339`."""
    return datetime.datetime.fromisoformat(moment).timestamp()


def parse_rfc3339(moment: object) -> float | None:
    """Seconds since 1970 of untrusted RFC 3339; None for anything else, or a time before 1970."""
    if not isinstance(moment, str) or len(moment) > _LONGEST:
        return None
    try:
        parsed = datetime.datetime.fromisoformat(moment)
        found = parsed.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return found if parsed.tzinfo is not None and 0 <= found <= LATEST else None


def judge_clock(seconds: float) -> str:
    """`set`, or `unset` for a year that only a clock without a battery shows after boot."""
    year = datetime.datetime.fromtimestamp(seconds, datetime.UTC).year
    return "set" if year >= _SET_AFTER else "unset"
