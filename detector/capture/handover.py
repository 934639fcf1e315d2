"""The capture process's end of its pipe to the detector.

The detector asks for a frame by a byte on our standard input. We answer with a line of JSON, and
leave the frame's pixels in shared memory.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import sys
from typing import Any

import numpy as np

from detector.planes import Planes


class Handover:
    """Waits for requests and answers them. `memory` is the descriptor of the shared memory."""

    def __init__(self, memory: int) -> None:
        self._fd = memory
        self._size = 0
        self._map: mmap.mmap | None = None
        self._requested = False
        self._reported: set[str] = set()

    def wait_for_request(self, seconds: float | None = 0.0) -> bool:
        """Whether a frame is wanted, within `seconds` (None: wait for ever)."""
        if not self._requested and select.select([0], [], [], seconds)[0]:
            if os.read(0, 1) == b"":
                sys.exit(0)  # the detector is gone
            self._requested = True
        return self._requested

    def send(self, kind: str, **facts: Any) -> None:
        """Send a line of JSON."""
        sys.stdout.write(json.dumps({"kind": kind, **facts}) + "\n")
        sys.stdout.flush()

    def send_frame(self, picture: Planes, **facts: Any) -> None:
        """Answer a request with a frame."""
        if picture.size > self._size:
            self._size = picture.size
            os.ftruncate(self._fd, self._size)
            self._map = mmap.mmap(self._fd, self._size)
        assert self._map is not None  # noqa: S101 - a picture is never empty
        picture.copy_to(np.frombuffer(self._map, np.uint8, picture.size))
        self._requested = False
        height, width = picture.shape
        self.send("frame", width=width, height=height, pixels=picture.to_facts(), **facts)

    def report_unreadable(self, path: str) -> None:
        """Report an image that cannot be read, once."""
        if path not in self._reported:
            self.send("unreadable", path=path)
        self._reported.add(path)
