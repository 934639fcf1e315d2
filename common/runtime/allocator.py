"""How glibc treats freed memory: mallopt(3)."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 8 * 1024 * 1024  # bytes that stay with the process
LARGEST = 5 * 1024 * 1024  # bytes: beyond any packet


def keep_freed_memory() -> None:
    """Keep some freed memory for the next face.

    By default glibc returns the memory of each 200 kB face to the kernel and fetches it again page
    by page, which takes longer than copying the face.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST)
        mallopt(_TRIM_THRESHOLD, KEPT)
