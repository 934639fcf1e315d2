"""Which faces are in hand and which were answered: a copy of one of them is not stored again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from common.protocol.receipt import Receipt

FaceKey = tuple[bytes, str]  # Correlation Data and SHA-256: the same face, the same bytes

REMEMBERED = 5_000  # answered faces, about 5 MB


class Duplicates:
    """May be shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_hand: set[FaceKey] = set()
        self._answered: OrderedDict[FaceKey, Receipt] = OrderedDict()

    def claim(self, name: FaceKey | None) -> bool:
        """Whether this one is to be stored; it is in hand until `release`."""
        if name is None:
            return True  # without an id each message is a face of its own, whatever its bytes
        with self._lock:
            if name in self._in_hand or name in self._answered:
                return False
            self._in_hand.add(name)
            return True

    def release(self, name: FaceKey | None, receipt: Receipt | None) -> None:
        """It is not in hand any more; `receipt`: how it was answered, if it was."""
        if name is None:
            return
        with self._lock:
            self._in_hand.discard(name)
            if receipt is not None:
                self._answered[name] = receipt
                if len(self._answered) > REMEMBERED:
                    self._answered.popitem(last=False)

    def receipt(self, name: FaceKey | None) -> Receipt | None:
        """How it was answered; None while it is in hand, since whoever has it will answer."""
        return None if name is None else self._answered.get(name)
