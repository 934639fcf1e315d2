"""Fixtures: one of each counterpart, and the pipeline put together from them."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.mosquitto import Mosquitto
from tests.harness.process import Service
from tests.harness.store import Store

# Real clips and stills, where there are any; none of them belongs to the project.
DATA = Path(os.environ.get("TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as server:
        yield server


@pytest.fixture
def processor(cloud: Mosquitto, store: Store) -> Iterator[Service]:
    with Service("processor", MQTT_PORT=cloud.port, **store.settings) as service:
        service.says("cloud broker .*: connected")
        yield service


@pytest.fixture
def forwarder(edge: Mosquitto, cloud: Mosquitto) -> Iterator[Service]:
    settings = {"MQTT_PORT": edge.port, "CLOUD_HOST": "127.0.0.1", "CLOUD_PORT": cloud.port}
    with Service("forwarder", DEVICE="box-1", **settings) as service:
        service.says("cloud broker .*: connected")
        service.says("edge broker .*: connected")
        yield service


def png(width: int = 8, height: int = 8, seed: int = 0) -> bytes:
    """A small sound PNG, grey, whose pixels depend on `seed`."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    rows = b"".join(
        b"\0" + bytes((seed + x * y) % 256 for x in range(width)) for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def make_png() -> Callable[..., bytes]:
    return png
