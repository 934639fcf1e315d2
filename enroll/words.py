"""What is said to people: on stderr, for stdout is the bundle's."""

from __future__ import annotations

import datetime
import sys


def say(text: str) -> None:
    sys.stderr.write(f"enroll: {text}\n")
    sys.stderr.flush()


def day(moment: datetime.datetime) -> str:
    """In UTC."""
    return f"{moment:%Y-%m-%d}"
