"""A store for loads: takes PUTs as S3 does, forgets the bodies, and counts what came.

Use `Sink` in `with`. It is cheap, so that it is not what a bench measures; it checks neither
signatures nor digests, as the tests' stores do. GET returns the counts as JSON.
"""

from __future__ import annotations

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
        self.scratch = memoryview(bytearray(CHUNK))  # each read is done with before the next

    def to_json(self) -> bytes:
        faces = {key: count for key, count in self.puts.items() if not key.startswith(OWN)}
        return json.dumps({"puts": sum(faces.values()), "objects": len(faces)}).encode()


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
        return at + end + 4 - before

    def _end(self) -> None:
        counts = self._counts
        counts.puts[self._path] += 1
        self._path = b""
        if not counts.delay:
            self._transport.write(self._answer)
            return
        asyncio.get_running_loop().call_later(counts.delay, self._transport.write, self._answer)

    def _tell(self, method: bytes) -> None:
        body = self._counts.to_json()
        self._path = b""
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self._transport.write(head + (b"" if method == b"HEAD" else body))


class Sink(Process):
    """The store as a process of its own; a PUT is answered `delay_ms` after its last byte."""

    def __init__(self, delay_ms: float = 0) -> None:
        self.port = free_port()
        module = "bench.load.sink"
        super().__init__([sys.executable, "-m", module, str(self.port), str(delay_ms)])

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
        """`puts` and `objects`, without the processor's probe."""
        with urllib.request.urlopen(self.endpoint, timeout=30) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


async def serve(port: int, delay: float) -> None:
    counts = Counts(delay)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
