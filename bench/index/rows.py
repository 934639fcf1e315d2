"""The gallery over an index of any size: `python -m bench.gallery --rows N`.

The index is filled without a store, as announcements would; then the gallery starts on it, and is
asked over HTTP as a browser would, live updates open, while 200 faces a second arrive. For the rate
of adding, as many are announced as it takes, with the pages in use.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.index.announcer import DAYS, fill
from bench.measure import Meter, percentile
from testing.host.wait import free_port, until
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import Admin, Gallery
from testing.services.process import ROOT

ROUNDS = 150  # of each kind of request, in turn
ARRIVING = 200  # faces a second
WINDOW = 10_000  # announcements under way while as many are sent as are taken
ADDING = 20.0  # seconds of that
INDEXED = "facepipe_gallery_faces_indexed"
NEXT = re.compile(r'data-next="([^"]+)"')


class NoStore:
    """The address of a bucket that nobody serves: what is measured asks nothing of it."""

    def __init__(self) -> None:
        where = {"COS_ENDPOINT": f"http://127.0.0.1:{free_port()}", "COS_BUCKET": "faces"}
        self.settings = {**where, "COS_ACCESS_KEY_ID": "a", "COS_SECRET_ACCESS_KEY": "b"}


class Reader:
    """Asks for pages in turn; `taken`: milliseconds of each, by kind."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._chance = random.Random(2)
        self._after = ""
        self.taken: dict[str, list[float]] = {kind: [] for kind in self._kinds()}

    def _kinds(self) -> dict[str, Callable[[], object]]:
        return {
            "first_page": lambda: self._open("/"),
            "first_page_all": lambda: self._open("/?shots=all"),
            "next_page": self._next,
            "sharpest": lambda: self._open("/?order=sharpest"),
            "sharpest_all": lambda: self._open("/?order=sharpest&shots=all"),
            "sharpest_day": lambda: self._open(f"/?order=sharpest&day={self._day()}"),
            "jump": lambda: self._open(f"/?day={self._day()}"),
            "bars": lambda: self._open("/days"),
            "devices": lambda: self._open("/devices"),
            "count": self._count,
        }

    def round(self) -> None:
        kinds = list(self._kinds().items())
        self._chance.shuffle(kinds)
        for kind, ask in kinds:
            if kind == "next_page":  # from somewhere else each time, deep in the list
                page = self._open(f"/?day={self._day()}")
                self._after = NEXT.findall(page)[0]
            began = time.perf_counter()
            ask()
            self.taken[kind].append(1000 * (time.perf_counter() - began))

    def _open(self, path: str) -> str:
        status, body = self._admin.open(path)
        assert status == 200, (path, status)
        return body.decode()

    def _next(self) -> None:
        self._open(f"/more?after={self._after}")

    def _count(self) -> None:
        self._admin.count(filter={})

    def _day(self) -> datetime.date:
        """Of the newer half: a page below it is full, and the next one is there to be asked for."""
        today = datetime.datetime.now(datetime.UTC).date()
        return today - datetime.timedelta(days=self._chance.randrange(1, DAYS // 2))

    def figures(self) -> dict[str, Any]:
        return {
            f"{kind}_ms": {str(n): round(percentile(taken, n / 100), 1) for n in (50, 99)}
            for kind, taken in self.taken.items()
        }


@contextlib.contextmanager
def announcing(broker: Mosquitto, rate: float) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bench.index.announcer", str(broker.port), str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as announcer:
        try:
            yield announcer
        finally:
            announcer.kill()


def add(gallery: Gallery, broker: Mosquitto, reader: Reader) -> float:
    """Faces added a second, of as many as are taken, while pages are asked for."""
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            reader.round()

    with announcing(broker, 0) as announcer:
        assert announcer.stdin is not None
        reading = threading.Thread(target=read)
        reading.start()
        began, first, sent = time.monotonic(), gallery.metric(INDEXED), 0
        while time.monotonic() < began + ADDING:
            room = WINDOW - sent + round(gallery.metric(INDEXED) - first)
            announcer.stdin.write(b"." * room)
            announcer.stdin.flush()
            sent += room
            time.sleep(0.2)
        added = gallery.metric(INDEXED) - first
        seconds = time.monotonic() - began
        over.set()
        reading.join()
    return added / seconds


@contextlib.contextmanager
def watching(admin: Admin) -> Iterator[None]:
    """A page that is open, as a browser has it."""

    def drain(events: Iterator[tuple[str, Any]]) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed meanwhile
            for _ in events:
                pass

    with admin.live() as events:
        threading.Thread(target=drain, args=(events,), daemon=True).start()
        yield


def measure(folder: Path, rows: int) -> dict[str, Any]:
    """What the bench tells, by name; `folder` may have the index of an earlier run."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    path = data / "index.db"
    if not path.exists():
        rate = fill(path, rows, time.time())
        print(f"filled with {rate:,.0f} rows a second, nothing else going on", file=sys.stderr)
    settings = {"HTTP_PORT": free_port(), "INDEX_MAX_FACES": max(1000, 2 * rows)}
    with Mosquitto(folder / "broker") as broker:
        began = time.monotonic()
        with Gallery(NoStore(), data, MQTT_PORT=broker.port, **settings) as gallery:
            admin = until(lambda: _signed_in(settings["HTTP_PORT"]), 600, "a page")
            assert admin is not None
            started = time.monotonic() - began
            indexed = gallery.metric(INDEXED)
            on_disk = sum(file.stat().st_size for file in data.glob("index.db*"))
            with Meter({"gallery": gallery.pid}) as meter, watching(admin):
                reader = Reader(admin)
                with announcing(broker, ARRIVING):
                    for _ in range(ROUNDS):
                        reader.round()
                figures = reader.figures()
                added = add(gallery, broker, reader)
            print(f"of {meter.others():.2f} cores others had the use", file=sys.stderr)
    return {
        "rows": round(indexed),
        **figures,
        "add_per_s": round(added),
        "bytes_per_face": round(on_disk / indexed),
        "memory_mb": round(meter.peak("gallery"), 1),
        "start_s": round(started, 2),
    }


def _signed_in(port: int) -> Admin | None:
    admin = Admin(f"http://127.0.0.1:{port}")
    with contextlib.suppress(OSError):
        return admin if admin.log_in("anna", "correct horse battery") == 200 else None
    return None


def tell(folder: Path, rows: int) -> None:
    print(json.dumps(measure(folder, rows)))
