"""Signals that arrive while a service is still importing."""

from __future__ import annotations

import signal

_STOPS = (signal.SIGTERM, signal.SIGINT)


def hold_signals() -> None:
    """Hold SIGTERM and SIGINT until the service can handle them.

    Imports take a moment, and a service that is stopped meanwhile should also exit with 0.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)


def release_signals() -> None:
    """Deliver the signals that were held, and later ones at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
