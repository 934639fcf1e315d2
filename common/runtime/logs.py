"""Logs that a person can read, where a lasting fault is logged once."""

from __future__ import annotations

import logging
import sys
import time

LINE_MAX = 4000  # characters of a line; the effective settings are the longest
TEXT_MAX = 500  # characters of a line that a remote party can cause


class _Formatter(logging.Formatter):
    """Keeps each message on a line of its own: it may quote what a stranger has sent."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = escape(record.message, LINE_MAX)
        return super().formatMessage(record)


def escape(text: str, limit: int) -> str:
    """The text without control characters, cut to `limit` characters."""
    if len(text) > limit:
        text = f"{text[:limit]}..."
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def configure(service: str, level: str) -> None:
    """Log one line per event to standard error: UTC time, level, service, text."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)-7s {service}: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Libraries log errors only; the services' own lines report everything else.
    for library in ("paho", "ibm_boto3", "ibm_botocore", "urllib3", "asyncio", "uvicorn", "PIL"):
        logging.getLogger(library).setLevel(logging.ERROR)


class StateLogger:
    """Logs when something begins to fail, changes its reason, or works again; not each try."""

    def __init__(self, log: logging.Logger, thing: str) -> None:
        self._log = log
        self._thing = thing
        self._since = 0.0
        self._tries = 0
        self.reason: str | None = None

    def begin(self, reason: str, text: str) -> None:
        """Report a failure: `reason` is a fixed word, `text` explains it to a person."""
        if self.reason is None:
            self._since = time.monotonic()
            self._tries = 0
        if reason != self.reason:
            self._log.warning("%s: %s (%s); trying again", self._thing, text, reason)
        self.reason = reason
        self._tries += 1

    def end(self, text: str) -> None:
        """Report that it works, and for how long it did not."""
        if self.reason is None:
            self._log.info("%s: %s", self._thing, text)
        else:
            away = time.monotonic() - self._since
            tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
            self._log.info("%s: %s, after %.1f s and %s", self._thing, text, away, tries)
        self.reason = None


class RateLimitedLogger:
    """Logs an event that may come a thousand times once, then once a minute with a count.

    It is for all that a remote party can cause at will; what it quotes is escaped and cut.
    """

    EVERY = 60.0  # seconds

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: dict[str, tuple[float, int]] = {}  # by kind: when, and how many held since

    def warn(self, kind: str, text: str) -> None:
        """Log `text`, unless one of its `kind` (a fixed word) was logged within a minute."""
        self._write(logging.WARNING, kind, text)

    def error(self, kind: str, text: str, error: BaseException) -> None:
        """Log a bug with its traceback, else as `warn` does."""
        self._write(logging.ERROR, kind, text, error)

    def _write(self, level: int, kind: str, text: str, error: BaseException | None = None) -> None:
        at, held = self._logged.get(kind, (float("-inf"), 0))
        now = time.monotonic()
        if now - at < self.EVERY:
            self._logged[kind] = (at, held + 1)
            return
        self._logged[kind] = (now, 0)
        more = f"; {held} more of this kind in the last {now - at:.0f} s" if held else ""
        self._log.log(level, "%s (%s)%s", escape(text, TEXT_MAX), kind, more, exc_info=error)
