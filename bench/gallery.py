"""The gallery over a bucket of 100,000 faces: pages, the index, memory, and requests to the store.

`python -m bench.gallery [--faces N]` fills a bucket on the local S3 server, and starts the gallery
three times: with nothing on its disk (the index is built), with all of it (as after a restart), and
told to read each thumbnail anew. A page's time is that of its HTML with all tiles on it; the
thumbnails, which browsers ask for by themselves, are told apart. Building the index is told beside
the same listing by the SDK alone, in the same run. `--rows N` measures an index of that size alone
(bench/index/), and prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.index import rows
from bench.measure import MEBI, Meter, percentile
from bench.report import Figure, tell
from common.settings import read
from common.store.registry import create
from gallery.auth import passwords
from gallery.auth.users import Account, User
from gallery.settings import GallerySettings
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.services.process import Service
from testing.services.visitor import Visitor
from testing.store.bucketful import fill
from testing.store.nanio import Store

PASSWORD = "correct horse battery"
REQUESTS = "facepipe_gallery_store_requests_total"
MOST = 3000  # chunks of the grid that are scrolled through, at most
NEXT = re.compile(r'data-next="([^"]+)"')
TILE = b'<img src="/thumb/'


class Gallery(Service):
    """The gallery with one user, and somebody who has signed in."""

    def __init__(self, store: Store, broker: Mosquitto, data: Path) -> None:
        line = Account(User("bench", "admin"), passwords.hash_password(PASSWORD)).line
        settings = {"MQTT_PORT": broker.port, "METRICS_PORT": 0, "GALLERY_DATA": data}
        super().__init__("gallery", GALLERY_USERS=line, **settings, **store.settings)

    def visitor(self) -> Visitor:
        visitor = Visitor(self.says(r"the gallery is on (http://\S+)/")[1])
        assert visitor.log_in("bench", PASSWORD) == 200
        return visitor

    def requests(self) -> int:
        return int(self.metric(REQUESTS))


def timed(visitor: Visitor, path: str, times: int) -> list[float]:
    """Milliseconds of each of so many loads."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        status, _ = visitor.open(path)
        taken.append(1000 * (time.perf_counter() - began))
        assert status == 200, path
    return taken


def scrolled(visitor: Visitor) -> tuple[list[float], int]:
    """Milliseconds of each further chunk, from the first page to the end; how many faces came."""
    _, body = visitor.open("/")
    taken: list[float] = []
    faces = body.count(TILE)
    while (found := NEXT.search(body.decode())) and len(taken) < MOST:
        began = time.perf_counter()
        status, body = visitor.open(f"/more?after={found[1]}")
        taken.append(1000 * (time.perf_counter() - began))
        assert status == 200
        faces += body.count(TILE)
    return taken, faces


def thumbnails(visitor: Visitor, refs: list[str]) -> float:
    """Milliseconds until all are there, six at a time, as a browser asks for them."""
    began = time.perf_counter()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda ref: visitor.open(f"/thumb/{ref}")[0], refs))
    assert set(answers) == {200}
    return 1000 * (time.perf_counter() - began)


@contextlib.contextmanager
def started(store: Store, broker: Mosquitto, data: Path) -> Iterator[tuple[Gallery, Meter]]:
    with Gallery(store, broker, data) as gallery:
        gallery.says("the gallery is on")
        with Meter({"gallery": gallery.pid}) as peaks:
            yield gallery, peaks


def listing(store: Store) -> float:
    """Seconds of the same listing by the SDK, and nothing made of it."""
    settings = read(GallerySettings, {**store.settings, "GALLERY_DATA": "/nonexistent"})
    bucket = create(settings.store_options(1))
    began = time.perf_counter()
    for _ in bucket.pages():
        pass
    return time.perf_counter() - began


def built(store: Store, broker: Mosquitto, data: Path, faces: int) -> list[Figure]:
    with started(store, broker, data) as (gallery, peaks):
        said = gallery.says(r"listed (\d+) objects in ([\d.]+) s", 600)
        assert int(said[1]) >= faces
        seconds, requests = float(said[2]), gallery.requests()
        until(lambda: gallery.metric("facepipe_gallery_thumbnails_made_total") >= 60, 60)
    alone = listing(store)
    on_disk = sum(file.stat().st_size for file in data.glob("index.db*"))
    return [
        Figure("index built", seconds, "s"),
        Figure("index built, times the listing alone", seconds / alone, "x"),
        Figure("index built, requests", requests, ""),
        Figure("index on disk", on_disk / MEBI, "MiB"),
        Figure("memory while it is built", peaks.peak("gallery"), "MiB", 150),
    ]


def warm(store: Store, broker: Mosquitto, data: Path, faces: int) -> list[Figure]:
    with started(store, broker, data) as (gallery, peaks):
        gallery.says("listed", 600)
        visitor = gallery.visitor()
        before = gallery.requests()
        first = timed(visitor, "/", 1)[0]
        shown = visitor.faces()
        with_thumbs = thumbnails(visitor, shown)
        asked = gallery.requests() - before
        pages = timed(visitor, "/", 20)
        days = timed(visitor, "/days", 10)
        a_day = timed(visitor, "/?day=2026-03-15", 10)
        one_device = timed(visitor, "/?device=box0003", 10)
        further, seen = scrolled(visitor)
        if len(further) < MOST:
            assert seen == faces, (seen, faces)
    return [
        Figure("first page, at the first time", first, "ms", 300),
        Figure("first page, median", statistics.median(pages), "ms", 300),
        Figure("first page and its thumbnails, requests to S3", asked, "", 4),
        Figure("its thumbnails, all of them", with_thumbs, "ms"),
        Figure("next page, median", statistics.median(further), "ms", 150),
        Figure("next page, 99 % within", percentile(further, 0.99), "ms", 150),
        Figure("faces scrolled through", seen, ""),
        Figure("days and hours with counts, median", statistics.median(days), "ms"),
        Figure("jump to a day, median", statistics.median(a_day), "ms"),
        Figure("one device, median", statistics.median(one_device), "ms"),
        Figure("memory, all pages scrolled through", peaks.peak("gallery"), "MiB", 150),
    ]


def cold(store: Store, broker: Mosquitto, data: Path) -> list[Figure]:
    with started(store, broker, data) as (gallery, peaks):
        gallery.says("listed", 600)
        visitor = gallery.visitor()
        refs = []
        for day in range(5, 15):
            _, body = visitor.open(f"/?day=2026-03-{day:02d}")
            refs += list(dict.fromkeys(re.findall(r"/thumb/([0-9a-f]{20})", body.decode())))
        taken = thumbnails(visitor, refs)
    return [
        Figure("thumbnails made, each", taken / len(refs), "ms"),
        Figure("memory while they are made", peaks.peak("gallery"), "MiB", 150),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gallery", description=__doc__)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--rows", type=int, help="measure an index of so many faces alone")
    parser.add_argument("--keep", type=Path, help="folder in which the index of --rows stays")
    options = parser.parse_args()
    if options.rows:
        with tempfile.TemporaryDirectory(prefix="facepipe-bench-") as made:
            rows.tell(options.keep or Path(made), options.rows)
        return
    faces = options.faces
    folder = Path(tempfile.mkdtemp(prefix="facepipe-bench-"))
    data = folder / "data"
    try:
        with Store(folder) as store, Mosquitto(folder / "broker") as broker:
            print(f"filling a bucket with {faces:,} faces", file=sys.stderr)
            fill(store, faces)
            figures = built(store, broker, data, faces)
            print("scrolling through all of them", file=sys.stderr)
            figures += warm(store, broker, data, faces)
            figures += cold(store, broker, data)
    finally:
        shutil.rmtree(folder)
    tell("gallery", figures)


if __name__ == "__main__":
    main()
