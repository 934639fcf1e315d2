"""A store for loads: takes PUTs as S3 does, forgets the bodies, and tells what came.

Run as `python -m bench.sink`, or use `Sink` in `with`. It is cheap, so that it is not what a bench
measures; it checks neither signatures nor digests, which the tests' stores do.

GET /stats tells the counts as JSON, GET /keys each key with its number of PUTs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import urllib.request
from collections import Counter
from typing import cast

from testing.host.wait import free_port, listening, until
from testing.services.process import Process
from testing.store.nanio import BUCKET, reached_at

OWN = f"/{BUCKET}/.facepipe/".encode()  # the probe is no face
CHUNK = 1024 * 1024  # bytes read at a time
HEAD_LIMIT = 64 * 1024

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect:\s*100-continue", re.IGNORECASE)
_ONCE = re.compile(rb"\r\nif-none-match:\s*\*", re.IGNORECASE)
_TAKEN = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
_IS_THERE = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n"


class Counts:
    """What has come, on all connections."""

    def __init__(self, delay: float) -> None:
        self.delay = delay  # seconds from the last byte of a PUT to its answer
        self.puts: Counter[bytes] = Counter()  # by path
        self.bytes = 0
        self.connections = 0
        self.busy = self.busy_most = 0  # PUTs that have come and are not answered yet
        self.scratch = memoryview(bytearray(CHUNK))  # each read is done with before the next

    def answer(self, path: bytes) -> bytes:
        """The body of what is asked for by GET."""
        faces = {key: count for key, count in self.puts.items() if not key.startswith(OWN)}
        if path == b"/keys":
            start = len(BUCKET) + 2
            return json.dumps({key[start:].decode(): n for key, n in faces.items()}).encode()
        stats = {
            "puts": sum(faces.values()),
            "objects": len(faces),
            "bytes": self.bytes,
            "connections": self.connections,
            "busy_most": self.busy_most,
        }
        return json.dumps(stats).encode()


class Connection(asyncio.BufferedProtocol):
    """Heads are kept until they are whole; bodies are counted as they pass."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._head = b""
        self._path = b""
        self._answer = _TAKEN  # to the PUT that is coming
        self._left = 0  # bytes of the body to come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._counts.connections += 1

    def get_buffer(self, _size: int) -> memoryview:
        return self._counts.scratch

    def buffer_updated(self, count: int) -> None:
        at = 0
        while at < count:
            if self._left:
                taken = min(self._left, count - at)
                self._left -= taken
                at += taken
            else:
                at = self._begin(at, count)
            if self._path and not self._left:
                self._end()

    def _begin(self, at: int, count: int) -> int:
        """Take up a request; where in the buffer its body begins."""
        before = len(self._head)
        head = self._head + bytes(self._counts.scratch[at : min(count, at + HEAD_LIMIT)])
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self._head = head
            if len(head) >= HEAD_LIMIT:
                self._transport.close()
            return count
        self._head = b""
        method, self._path, _ = head.split(b" ", 2)
        length = _LENGTH.search(head, 0, end)
        self._left = int(length[1]) if length and method == b"PUT" else 0
        # Faces are never there yet; the probe is, by which the processor learns that we look.
        probed = self._path.startswith(OWN) and _ONCE.search(head, 0, end)
        self._answer = _IS_THERE if probed else _TAKEN
        if method != b"PUT":
            self._tell(method)
        elif _CONTINUE.search(head, 0, end):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._counts.bytes += self._left
        return at + end + 4 - before

    def _end(self) -> None:
        counts = self._counts
        counts.puts[self._path] += 1
        self._path = b""
        if not counts.delay:
            self._transport.write(self._answer)
            return
        counts.busy += 1
        counts.busy_most = max(counts.busy_most, counts.busy)
        asyncio.get_running_loop().call_later(counts.delay, self._take)

    def _take(self) -> None:
        self._counts.busy -= 1
        self._transport.write(self._answer)

    def _tell(self, method: bytes) -> None:
        body = self._counts.answer(self._path)
        self._path = b""
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self._transport.write(head + (b"" if method == b"HEAD" else body))


class Sink(Process):
    """The store as a process of its own; a PUT is answered `delay_ms` after its last byte."""

    def __init__(self, delay_ms: float = 0) -> None:
        self.port = free_port()
        arguments = ["--port", str(self.port), "--delay-ms", str(delay_ms)]
        super().__init__([sys.executable, "-m", "bench.sink", *arguments])

    def start(self) -> None:
        super().start()
        until(lambda: listening(self.port), what="the sink listens")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The processor's settings for this store."""
        return reached_at(self.endpoint)

    def stats(self) -> dict[str, int]:
        """puts and objects (without the probe), bytes, connections, busy_most."""
        told: dict[str, int] = self._get("stats")
        return told

    def keys(self) -> dict[str, int]:
        """Each face's key, and how often it was put."""
        told: dict[str, int] = self._get("keys")
        return told

    def _get(self, name: str) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.endpoint}/{name}", timeout=30) as answer:
            told: dict[str, int] = json.load(answer)
        return told


async def serve(port: int, delay: float) -> None:
    counts = Counts(delay)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sink", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before each answer")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.delay_ms / 1000))


if __name__ == "__main__":
    main()
