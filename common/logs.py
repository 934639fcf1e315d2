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
    for library in ("paho", "ibm_boto3", "ibm_botocore", "urllib3", "asyncio"):
        logging.getLogger(library).setLevel(logging.ERROR)


class Trouble:
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
            self._log.info(
                "%s: %s, after %.0f s and %d tries", self._thing, text, away, self._tries
            )
        self.reason = None
