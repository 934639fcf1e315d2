"""Fuzzing: `python -m tests.fuzz [TARGET ...] [--minutes 10] [--seed N]`; see `make fuzz`.

Each target takes mutations of the files in corpus/<target>/. A failure ends it with exit code 1 and
leaves the input as a file that `--input` runs once more.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import random
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import answers, messages, requests
from tests.fuzz.messages import Target
from tests.fuzz.mutator import Mutator, read_corpus

CORPUS = Path(__file__).parent / "corpus"
MEMORY = 64  # MiB by which this process may grow, once it is warm
WARM = 2000  # inputs


class Fuzzed(NamedTuple):
    open: Callable[[], contextlib.AbstractContextManager[Target]]
    words: tuple[bytes, ...]


JSON = (b"null", b"1e999", b"-1", b"[", b"{", b'"', b"NaN", b"\\u0000", b"\\ud800", b"9" * 400)
HTTP = (
    *(b"\r\n", b"\r\n\r\n", b": ", b"%00", b"%0a", b"%ff", b"..", b"//", b"?", b"&", b"=", b"\0"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"GET ", b"POST ", b"HEAD ", b"Content-Length: 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(b"Host: x\r\n", b"Range: bytes=0-\r\n", b"Upgrade: websocket\r\n", b"A: " + b"x" * 9000),
    *(b"-1", b"9" * 400, b"0", b"\xc3\xa9", b"\xff"),
)
XML = (
    *(b"<Error>", b"</Error>", b"<Code>", b"</Code>", b"<Contents>", b"</Contents>", b"&lt;", b"<"),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"HTTP/1.1 200 OK", b"412", b"404", b"501"),
    *(b"ETag: \r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n"),
)
TARGETS = {
    "mqtt": Fuzzed(messages.mqtt, (*JSON, b"\x26\0\0\0\0", b"\x09\0\x01x", b"\x23\0\1")),
    "json": Fuzzed(messages.json, JSON),
    "png": Fuzzed(messages.pictures, (b"IHDR", b"IDAT", b"IEND", b"tEXt", b"PLTE", b"acTL")),
    "s3": Fuzzed(answers.s3, (*XML, *HTTP)),
    "gallery": Fuzzed(requests.gallery, (*HTTP, *JSON)),
    "health": Fuzzed(requests.health, HTTP),
    "preview": Fuzzed(requests.preview, HTTP),
}


def fuzz(name: str, is_over: Callable[[int], bool], seed: int) -> int:
    """The number of inputs that `name` took until `is_over`.

    Raises:
        Exception: whatever an input caused; the input is in the file `fuzz-<name>`.
    """
    target = TARGETS[name]
    mutator = Mutator(read_corpus(CORPUS / name), target.words, seed)
    count, before = 0, 0
    with target.open() as run:
        while not is_over(count):
            data = mutator.next()
            try:
                run(data)
            except BaseException:
                Path(f"fuzz-{name}").write_bytes(data)
                raise
            count += 1
            if count == WARM:
                before = memory()
    grown = memory() - before
    assert count <= WARM or grown < MEMORY, f"{name}: memory grew by {grown} MiB"
    return count


def memory() -> int:
    """The most MiB that this process ever held."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _is_over(end: float, _: int) -> bool:
    return time.monotonic() > end


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=10, help="for each target")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--input", type=Path, help="run this file alone")
    given = parser.parse_args()
    for name in given.targets or TARGETS:
        if given.input:
            with TARGETS[name].open() as run:
                run(given.input.read_bytes())
            continue
        end = time.monotonic() + 60 * given.minutes
        count = fuzz(name, partial(_is_over, end), given.seed)
        print(f"{name}: {count} inputs, seed {given.seed}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
