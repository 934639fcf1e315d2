"""Inputs that are nearly right: a corpus, with a few bytes of each changed, moved or repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

LENGTH_MAX = 64 * 1024  # bytes of an input
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


class Mutator:
    """Endless inputs; the same ones for the same seed."""

    def __init__(self, corpus: Sequence[bytes], words: Sequence[bytes], seed: int) -> None:
        """words: what the format gives a meaning to, and is put in at random places."""
        self._corpus = corpus
        self._words = words
        self._random = random.Random(seed)
        self._changes: tuple[Callable[[bytearray], None], ...] = (
            self._flip,
            self._replace,
            self._number,
            self._delete,
            self._repeat,
            self._word,
            self._splice,
        )

    def next(self) -> bytes:
        data = bytearray(self._random.choice(self._corpus))
        for _ in range(self._random.choice((1, 1, 2, 4, 8))):
            self._random.choice(self._changes)(data)
        return bytes(data[:LENGTH_MAX])

    def _place(self, data: bytearray) -> int:
        return self._random.randrange(len(data) + 1)

    def _piece(self, data: bytes | bytearray) -> bytes:
        start = self._random.randrange(len(data) + 1)
        return bytes(data[start : start + self._random.choice((1, 2, 4, 16, 256))])

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _replace(self, data: bytearray) -> None:
        at = self._place(data)
        new = self._random.randbytes(self._random.choice((1, 1, 2, 8)))
        data[at : at + len(new)] = new

    def _number(self, data: bytearray) -> None:
        at, size = self._place(data), self._random.choice((1, 2, 4))
        number = self._random.choice(NUMBERS) & (256**size - 1)
        data[at : at + size] = number.to_bytes(size, self._random.choice(("big", "little")))

    def _delete(self, data: bytearray) -> None:
        at = self._place(data)
        del data[at : at + self._random.choice((1, 2, 8, 64, 1024))]

    def _repeat(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self._piece(data) * self._random.choice((1, 2, 16, 256))

    def _word(self, data: bytearray) -> None:
        at = self._place(data)
        word = self._random.choice(self._words)
        data[at : at + self._random.choice((0, len(word)))] = word

    def _splice(self, data: bytearray) -> None:
        at = self._place(data)
        data[at:at] = self._piece(self._random.choice(self._corpus))


def read_corpus(folder: Path) -> list[bytes]:
    """The files of a folder, in order of their names."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]
