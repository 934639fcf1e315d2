"""What a stranger, or a viewer's browser, may send to the ports for HTTP."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from testing.host.memory import resident
from testing.host.wait import free_port, until
from testing.services.gallery import Gallery
from testing.services.preview import Shown
from testing.services.process import Service
from testing.store.nanio import BUCKET, reached_at
from tests.fuzz.messages import Target

QUIET = 0.05  # seconds without a byte, after which an answer counts as given: it may have no end
MEMORY = 64  # MiB by which the process may grow over all inputs


class FolderBucket:
    def __init__(self, folder: Path) -> None:
        (folder / BUCKET).mkdir(parents=True)
        self.settings = reached_at(f"file://{folder}")


def ask(port: int, data: bytes) -> bytes:
    """The first bytes of the answer."""
    with (
        contextlib.suppress(OSError),  # hung up on
        socket.create_connection(("127.0.0.1", port), 10) as sock,
    ):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(QUIET)
        return sock.recv(100)
    return b""


def memory(service: Service) -> int:
    """MiB that the process holds."""
    return resident(service.pid) // 1024**2


def count_sockets(service: Service) -> int:
    """How many the process has open."""
    count = 0
    for descriptor in Path(f"/proc/{service.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            count += str(descriptor.readlink()).startswith("socket:")
    return count


@contextlib.contextmanager
def watched(service: Service, port: int, prepare: Callable[[bytes], bytes]) -> Iterator[Target]:
    def run(data: bytes) -> None:
        answer = ask(port, prepare(data))
        assert answer[9:12] != b"500", answer

    for _ in range(200):
        ask(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    before, opened = memory(service), count_sockets(service)
    yield run
    until(
        lambda: not service.running or count_sockets(service) <= opened,
        30,
        "it has done with every connection",
    )
    assert service.running, "it has ended"
    assert "Traceback" not in service.log, service.log[-4000:]
    assert memory(service) - before < MEMORY, f"{before} MiB, then {memory(service)}"


def as_it_is(data: bytes) -> bytes:
    return data


@contextlib.contextmanager
def gallery() -> Iterator[Target]:
    """The pages, for one who is signed in: COOKIE in an input stands for the session's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = FolderBucket(folder / "bucket")
        with Gallery(store, folder / "data", MQTT_PORT=free_port()) as service:
            admin = service.admin()
            cookies = "; ".join(f"{one.name}={one.value}" for one in admin.cookies)
            port = int(service.at.rpartition(":")[2])

            def sign_in(data: bytes) -> bytes:
                filled = data.replace(b"COOKIE", cookies.encode())
                return filled.replace(b"ORIGIN", service.at.encode())

            with watched(service, port, sign_in) as run:
                yield run


@contextlib.contextmanager
def health() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as name:
        store = FolderBucket(Path(name))
        with Service("processor", MQTT_PORT=free_port(), **store.settings) as service:
            port = int(service.url.rpartition(":")[2])
            with watched(service, port, as_it_is) as run:
                yield run


@contextlib.contextmanager
def preview() -> Iterator[Target]:
    with Shown() as service:
        port = int(service.at.rstrip("/").rpartition(":")[2])
        with watched(service, port, as_it_is) as run:
            yield run
