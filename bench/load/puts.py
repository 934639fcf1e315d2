"""PUTs alone, with no MQTT around them: what another way to the same store reaches.

As many threads as the processor has put the same faces, with the same metadata and checksum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from bench.load.pictures import picture
from testing.services.process import ROOT
from testing.store.nanio import BUCKET, reached_at

PICTURES = 8  # different ones, in turn
FACTS = {
    "device": "box-1",
    "camera": "camera-0",
    "captured": "2026-03-01T12:00:00.000000Z",
    "clock": "set",
    "frame": "1920x1080",
    "face": "120,80,72,72",
    "box": "100,60,100,100",
    "engine": "haar",
    "score": "4.2",
    "sharpness": "321.5",
    "quality": "0.731",
}
Put = Callable[[str, bytes, dict[str, str]], None]  # key, body, metadata


@dataclasses.dataclass
class Done:
    puts: int
    seconds: float
    cpu: float  # seconds

    @property
    def rate(self) -> float:
        return self.puts / self.seconds

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu / self.puts


def by_sdk(endpoint: str, threads: int) -> Put:
    """By the SDK as the processor sets it up, where it uses it."""
    from common.settings import read
    from common.store.base import NewObject, Observer
    from common.store.s3.store import S3Store
    from processor.settings import ProcessorSettings

    environ = {**reached_at(endpoint), "UPLOADS": str(threads)}
    by = S3Store(read(ProcessorSettings, environ).store_options(1), Observer()).put_by_sdk

    def put(key: str, body: bytes, metadata: dict[str, str]) -> None:
        digest = hashlib.sha256(body).hexdigest()
        by(NewObject(key, body, "image/png", metadata, digest))

    return put


def by_obstore(endpoint: str, _threads: int) -> Put:
    """Rust's object_store, as its Python package has it."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id="id",
        secret_access_key="secret",
        region="us-east-1",
        checksum_algorithm="SHA256",
        client_options={"allow_http": True},
    )

    def put(key: str, body: bytes, metadata: dict[str, str]) -> None:
        attributes: Any = {"Content-Type": "image/png", **metadata}
        obstore.put(store, key, body, attributes=attributes, use_multipart=False)

    return put


WAYS = {"sdk": by_sdk, "obstore": by_obstore}


def run(put: Put, threads: int, seconds: float, kb: float) -> Done:
    faces = [picture(kb, seed) for seed in range(PICTURES)]
    serial, prefix = itertools.count(), secrets.token_hex(12)

    def one() -> None:
        number = next(serial)
        id = f"{prefix}{number:08x}"
        key = f"box-1/camera-0/2026-03-01/face_1772366400000_{id}.png"
        put(key, faces[number % PICTURES], {"id": id, **FACTS})

    def work(until: float) -> None:
        while time.perf_counter() < until:
            one()

    one()  # what is made once is not counted
    first, cpu, began = next(serial), time.process_time(), time.perf_counter()
    workers = [
        threading.Thread(target=work, args=(began + seconds,), daemon=True) for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    return Done(next(serial) - first - 1, took, time.process_time() - cpu)


def measure(way: str, endpoint: str, threads: int, seconds: float, kb: float) -> Done:
    """In a process of its own."""
    words = [way, endpoint, str(threads), str(seconds), str(kb)]
    command = [sys.executable, "-m", "bench.load.puts", *words]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Done(**json.loads(ended.stdout))


if __name__ == "__main__":
    way, endpoint, threads, seconds, kb = sys.argv[1:]
    done = run(WAYS[way](endpoint, int(threads)), int(threads), float(seconds), float(kb))
    print(json.dumps(dataclasses.asdict(done)))
