"""Health answers two questions: alive (did every loop tick lately?) and well (if not, why?)."""

from __future__ import annotations

import copy
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable

log = logging.getLogger(__name__)

STUCK_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Health:
    """The state behind `/healthz`: the service writes it, HTTP and the watchdog read it."""

    def __init__(self, max_silence: float = 40.0) -> None:
        self._max_silence = max_silence
        self._suffix = ""
        self._beats: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def part(self, name: str) -> Health:
        """The same health as one of several parts has it, such as one camera of many.

        Its checks and loops bear its name, as in `camera/front-door`. Its own `reasons` are those
        without names, and its own without the name.
        """
        part = copy.copy(self)  # with the same state
        part._suffix = f"/{name}"
        return part

    def beat(self, loop: str) -> None:
        """Record that `loop` is not stuck; after its first beat it has to keep beating."""
        with self._lock:
            self._beats[loop + self._suffix] = time.monotonic()

    def rest(self, loop: str) -> None:
        """Record that `loop` has ended, or waits for something that may take long."""
        with self._lock:
            self._beats.pop(loop + self._suffix, None)

    def check(self, name: str, reason: str | None) -> None:
        """Set what is wrong with `name`: a fixed reason word, or None if nothing is."""
        with self._lock:
            if reason is None:
                self._reasons.pop(name + self._suffix, None)
            else:
                self._reasons[name + self._suffix] = reason

    def stuck(self) -> list[str]:
        """Names of the loops that have been silent for too long."""
        now = time.monotonic()
        with self._lock:
            silent = [name for name, at in self._beats.items() if now - at > self._max_silence]
        return self._own(silent)

    def reasons(self) -> dict[str, str]:
        """The reason word of each check that fails."""
        with self._lock:
            reasons = dict(self._reasons)
        return {name.removesuffix(self._suffix): reasons[name] for name in self._own(reasons)}

    def _own(self, names: Iterable[str]) -> list[str]:
        """Of names, those that concern this part."""
        if not self._suffix:
            return list(names)
        return [name for name in names if "/" not in name or name.endswith(self._suffix)]


def watch(health: Health, every: float = 5.0) -> threading.Thread:
    """Start the watchdog: a thread that exits a stuck process, so that its supervisor restarts it.

    Docker restarts a container that exits, but not one that is merely unhealthy.
    """

    def loop() -> None:
        while True:
            time.sleep(every)
            stuck = health.stuck()
            if stuck:
                log.critical("stuck: no sign of life from %s; exiting", ", ".join(stuck))
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                os._exit(STUCK_EXIT_CODE)

    thread = threading.Thread(target=loop, name="watchdog", daemon=True)
    thread.start()
    return thread
