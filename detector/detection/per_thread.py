"""Models that belong to the thread that uses them: neither threads nor cameras can share OpenCV's.

Several cameras are searched in turn by a few threads. A model for each thread, not one for each
camera, keeps the memory that a further camera takes small.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerThread(Generic[T]):
    """A model of its own for each thread and path, created when it is first used there."""

    def __init__(self, create: Callable[[str], T]) -> None:
        self._create = create
        self._local = threading.local()

    def of(self, path: str) -> T:
        """This thread's model of a file."""
        models: dict[str, T] = self._local.__dict__
        if path not in models:
            models[path] = self._create(path)
        return models[path]
