"""The first thing that a service does."""

from __future__ import annotations

import signal

_STOPS = (signal.SIGTERM, signal.SIGINT)


def hold_signals() -> None:
    """Let a signal to stop wait until it can be handled: imports take a moment, and who is told
    to stop meanwhile should end with exit code 0, too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)


def release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
