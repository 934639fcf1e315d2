"""Faces of forty devices for the gallery's index, and what announces more of them.

`python -m bench.index.announcer PORT RATE` publishes so many a second on faces/stored, as
processors do, until it is ended; with the rate 0, as many as its standard input has bytes for.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common.protocol.clock import to_rfc3339
from common.protocol.keys import DEFAULT_TEMPLATE, format_key
from common.protocol.stored import Stored
from gallery.index.index import Index
from gallery.index.model import Entry, ref_of, with_metadata
from gallery.index.query import FACE
from testing.mqtt.client import Mqtt

DEVICES, CAMERAS, DAYS = 40, 8, 30
SHOTS = 10  # of a visit
SPREAD = 7919  # a prime: visits that follow each other are at other cameras
TRANSACTION = 10_000  # rows


def face(number: int, at: float, chance: random.Random) -> tuple[str, dict[str, str]]:
    """The key of a face captured at that time, and its facts; some in a row are one visit."""
    visit = number // SHOTS
    source = visit * SPREAD % (DEVICES * CAMERAS)
    bits = round(at * 1000) << 80 | 7 << 76 | 2 << 62 | chance.getrandbits(62)
    facts = {
        "id": f"{bits:032x}",
        "device": f"site-{source // CAMERAS:02d}",
        "camera": f"camera-{source % CAMERAS}",
        "score": f"0.{chance.randrange(100, 1000)}",
        "sharpness": f"{chance.lognormvariate(5, 1):.1f}",
        "quality": f"0.{chance.randrange(100, 1000)}",
        "track": f"{round(at) // 86_400:x}-{visit}",
    }
    return format_key(DEFAULT_TEMPLATE, facts, at), facts


def announcement(number: int, at: float, chance: random.Random) -> Stored:
    key, facts = face(number, at, chance)
    facts["captured"] = to_rfc3339(at)
    return Stored(key, f"{number:064x}", 20_000 + number % 30_000, at + 0.2, facts)


def entry(number: int, at: float, chance: random.Random) -> Entry:
    """What the gallery makes of an announcement, at less cost."""
    key, facts = face(number, at, chance)
    device, ms = facts["device"], round(at * 1000)
    id, size = f"{device}/{facts['id']}", 20_000 + number % 30_000
    made = Entry(ref_of(key), key, FACE, device, facts["camera"], id, ms, ms + 200, size)
    return with_metadata(made, facts)


def fill(path: Path, rows: int, until: float) -> float:
    """An index of so many faces, in the order in which they came; rows added a second."""
    chance, step = random.Random(1), DAYS * 86_400 / rows
    index, taken = Index(path, 100_000_000), 0.0
    for start in range(0, rows, TRANSACTION):
        numbers = range(start, min(rows, start + TRANSACTION))
        times = [round(until - (rows - number) * step, 3) for number in numbers]
        lot = [entry(number, at, chance) for number, at in zip(numbers, times, strict=True)]
        began = time.monotonic()
        index.add(lot)
        taken += time.monotonic() - began
        if start % (50 * TRANSACTION) == 0:
            print(f"{start:,} of {rows:,} rows", file=sys.stderr)
    return rows / taken


def paced(rate: float) -> Iterator[None]:
    """Yields so many times a second; with 0, once for each byte of standard input."""
    if not rate:
        while sys.stdin.buffer.read(1):
            yield
        return
    began = time.monotonic()
    for number in itertools.count():
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield


def main() -> None:
    port, rate = int(sys.argv[1]), float(sys.argv[2])
    chance = random.Random()
    with Mqtt(port) as client:
        for number, _ in enumerate(paced(rate)):
            client.publish("faces/stored", announcement(number, time.time(), chance).encode())


if __name__ == "__main__":
    main()
