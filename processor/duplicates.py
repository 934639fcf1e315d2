"""Which faces are in progress or have their receipt: a copy of one of them is not stored again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from common.protocol.receipt import Receipt

FaceKey = tuple[bytes, str]  # Correlation Data and SHA-256: the same face, the same bytes

REMEMBERED = 5_000  # faces with a receipt, about 5 MB


class Duplicates:
    """Recognizes copies of a face; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_progress: set[FaceKey] = set()
        self._receipts: OrderedDict[FaceKey, Receipt] = OrderedDict()

    def claim(self, name: FaceKey | None) -> bool:
        """Whether this face is to be stored; it is in progress until `release`."""
        if name is None:
            return True  # without an id each message is a face of its own, whatever its bytes
        with self._lock:
            if name in self._in_progress or name in self._receipts:
                return False
            self._in_progress.add(name)
            return True

    def release(self, name: FaceKey | None, receipt: Receipt | None) -> None:
        """End the progress of a face; `receipt` is the one that was sent for it, if any."""
        if name is None:
            return
        with self._lock:
            self._in_progress.discard(name)
            if receipt is not None:
                self._receipts[name] = receipt
                if len(self._receipts) > REMEMBERED:
                    self._receipts.popitem(last=False)

    def receipt(self, name: FaceKey | None) -> Receipt | None:
        """The receipt that was sent for a face; None if there is none yet."""
        return None if name is None else self._receipts.get(name)
