"""The pipeline's parts as real processes, with links that can be disturbed between them."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from testing.host.wait import free_port
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.record import Record
from testing.network.proxy import Proxy
from testing.services.process import Service
from testing.store.nanio import Store

DEVICE = "box-1"
ASK = 0.2  # seconds between looks at the books, which cost the detector 2 ms each


class Parts:
    """Use in `with`: both brokers, the store, forwarder and processor run; a detector is asked for.

    `wan` is the link between forwarder and cloud broker, `s3` that between processor and store;
    what a detector publishes is noted in `record` on its way to the edge broker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.edge, self.cloud = Mosquitto(folder / "edge"), Mosquitto(folder / "cloud")
        self.store = Store(folder)
        self.wan, self.s3 = Proxy(self.cloud.port), Proxy(self.store.port)
        self.tap, self.record = Proxy(self.edge.port), Record()
        self.tap.upward = self.record.reader
        settings = self.store.settings | {"COS_ENDPOINT": f"http://127.0.0.1:{self.s3.port}"}
        # Ports that stay, since the parts are started again and again.
        self.processor = Service(
            "processor", MQTT_PORT=self.cloud.port, HTTP_PORT=free_port(), **settings
        )
        self.forwarder = Service(
            "forwarder",
            DEVICE=DEVICE,
            MQTT_PORT=self.edge.port,
            CLOUD_HOST="127.0.0.1",
            CLOUD_PORT=self.wan.port,
            HTTP_PORT=free_port(),
        )
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Parts:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self) -> None:
        for part in (self.edge, self.cloud, self.store, self.tap, self.wan, self.s3):
            self._stack.enter_context(part)
        for service in (self.processor, self.forwarder):
            self._stack.enter_context(service)
            service.says("cloud broker .*: connected")
        self.forwarder.says("edge broker .*: connected")

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def detector(self, camera: object = "-", module: str = "detector", **settings: object) -> Feed:
        """A detector, or one of bench's own; to be started."""
        own = {
            "DEVICE": DEVICE,
            "CAMERA": camera,
            "MQTT_PORT": self.tap.port,
            "OUTBOX_PATH": self.folder / "outbox",
            "DELIVERY": "receipt",
        }
        return Feed(module, **{**own, **settings})


class Feed(Service):
    """A detector, and its books."""

    def __init__(self, name: str, **settings: object) -> None:
        self.http_port = free_port()
        super().__init__(name, HTTP_PORT=self.http_port, **settings)

    def books(self) -> dict[str, int]:
        """Faces by fate, reasons summed, at one moment; empty while it does not answer."""
        prefix = "facepipe_detector_faces_"
        try:
            url = f"http://127.0.0.1:{self.http_port}/metrics"
            with urllib.request.urlopen(url, timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {
            family.name.removeprefix(prefix): int(
                sum(s.value for s in family.samples if not s.name.endswith("_created"))
            )
            for family in text_string_to_metric_families(text)
            if family.name.startswith(prefix)
        }

    def comes_to(self, seconds: float, **at_least: int) -> dict[str, int]:
        """The books as soon as each of these counts is reached."""
        deadline = time.monotonic() + seconds
        while True:
            books = self.books()
            if books and all(books[name] >= least for name, least in at_least.items()):
                return books
            if not self.running:
                raise RuntimeError(f"the {self.name} has ended:\n{self.log[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {seconds:.0f} s: {at_least}, but {books}")
            time.sleep(ASK)
