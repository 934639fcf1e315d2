"""Logs that a person can read, and troubles that are said once."""

from __future__ import annotations

import logging
import sys
import time


def configure(service: str, level: str) -> None:
    """One line per event on standard error: UTC time, level, service, text."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)-7s {service}: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Libraries speak up only when they warn; what they know is told by our own lines.
    for library in ("paho", "ibm_boto3", "ibm_botocore", "urllib3", "asyncio", "uvicorn", "PIL"):
        logging.getLogger(library).setLevel(logging.ERROR)


class StateLogger:
    """One thing that can be in trouble, said when it begins, changes or ends: never per try."""

    def __init__(self, log: logging.Logger, thing: str) -> None:
        self._log = log
        self._thing = thing
        self._since = 0.0
        self._tries = 0
        self.reason: str | None = None

    def begin(self, reason: str, text: str) -> None:
        """The thing failed for `reason` (a short fixed word); `text` says it to a person."""
        if self.reason is None:
            self._since = time.monotonic()
            self._tries = 0
        if reason != self.reason:
            self._log.warning("%s: %s (%s); trying again", self._thing, text, reason)
        self.reason = reason
        self._tries += 1

    def end(self, text: str) -> None:
        """The thing works; says how long it did not."""
        if self.reason is None:
            self._log.info("%s: %s", self._thing, text)
        else:
            away = time.monotonic() - self._since
            tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
            self._log.info("%s: %s, after %.1f s and %s", self._thing, text, away, tries)
        self.reason = None


class RateLimitedLogger:
    """What may come a thousand times, said the first time, and then once a minute with a count."""

    EVERY = 60.0  # seconds

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, tuple[float, int]] = {}  # by kind: when, and how often since

    def warn(self, kind: str, text: str) -> None:
        """`kind` is a short fixed word; of each kind the text of the moment is said."""
        at, unsaid = self._said.get(kind, (float("-inf"), 0))
        now = time.monotonic()
        if now - at < self.EVERY:
            self._said[kind] = (at, unsaid + 1)
            return
        self._said[kind] = (now, 0)
        more = f"; {unsaid} more of this kind in the last {now - at:.0f} s" if unsaid else ""
        self._log.warning("%s (%s)%s", text, kind, more)
