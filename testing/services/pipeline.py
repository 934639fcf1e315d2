"""The whole way of a face, in real processes that can be killed and started again one by one.

A camera plays, and the person before it stays until told to leave: so capture goes on through any
fault, however long it takes. What the detector publishes is read off its wire; in the end it is
held against the books and the bucket.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from testing.clips import clips
from testing.host.wait import free_port, listening, until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.record import Record
from testing.network.mjpeg import Mjpeg
from testing.network.proxy import Proxy
from testing.services.detector import balance, books
from testing.services.process import Process, Service
from testing.store.fake_s3 import FakeS3
from testing.store.nanio import Store

DEVICE = "box-1"
BY_HMAC = ("COS_ACCESS_KEY_ID", "COS_SECRET_ACCESS_KEY")
RECOVERS_WITHIN = 35.0  # seconds from the end of a fault to the next object
SMALL, LARGE = (320, 180), (640, 360)  # frames whose faces are PNGs of 9 and of 28 kB, about


class Pipeline:
    """Use in `with`. Parts, by name: detector, forwarder, processor, edge, cloud, store.

    `wan` is the link between forwarder and cloud broker, `s3_link` that from processor to store;
    `fake` takes the real store's place; `credentials` are settings in place of the store's own;
    `settings` are the detector's.
    """

    def __init__(
        self,
        folder: Path,
        fake: FakeS3 | None = None,
        credentials: dict[str, str] | None = None,
        size: tuple[int, int] = SMALL,
        fps: float = 20.0,
        **settings: object,
    ) -> None:
        self._images = [clips.resize(image, size) for image in clips.faces(40)]
        self.camera = Mjpeg(self._images, fps=fps)
        self.outbox = folder / "outbox"
        self.record = Record()
        self.fake = fake
        self.store = Store(folder)
        edge, cloud = Mosquitto(folder), Mosquitto(folder)
        self.tap, self.wan = Proxy(edge.port), Proxy(cloud.port)
        self.tap.upward = self.record.reader
        self.s3_link = Proxy(self.store.port if fake is None else fake.port)
        store = (self.store if fake is None else fake).settings
        store = {**store, "COS_ENDPOINT": f"http://127.0.0.1:{self.s3_link.port}"}
        if credentials is not None:
            store = {k: v for k, v in store.items() if k not in BY_HMAC} | credentials
        self._processors = {"MQTT_PORT": cloud.port, **store}
        self.edge_port, self.cloud_port = edge.port, cloud.port
        self._ports = {name: free_port() for name in ("detector", "forwarder", "processor")}
        self.parts: dict[str, Process] = {
            "edge": edge,
            "cloud": cloud,
            "store": self.store,
            "processor": Service(
                "processor", HTTP_PORT=self._ports["processor"], **self._processors
            ),
            "forwarder": Service(
                "forwarder",
                HTTP_PORT=self._ports["forwarder"],
                DEVICE=DEVICE,
                MQTT_PORT=edge.port,
                CLOUD_HOST="127.0.0.1",
                CLOUD_PORT=self.wan.port,
            ),
            "detector": Service(
                "detector",
                HTTP_PORT=self._ports["detector"],
                DEVICE=DEVICE,
                CAMERA=self.camera.url,
                MQTT_PORT=self.tap.port,
                DELIVERY="receipt",
                OUTBOX_PATH=self.outbox,
                **{"CAPTURE": "every", **settings},
            ),
        }
        self._stack: contextlib.ExitStack

    def __enter__(self) -> Pipeline:
        with contextlib.ExitStack() as stack:  # ends what runs, and shows the logs, if this fails
            for link in (self.camera, self.tap, self.wan, self.s3_link):
                stack.enter_context(link)
            for part in self.parts.values():
                stack.enter_context(part)
            self.captures(5)
            until(self.stored, 30, "the first object")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    # What a test does.

    def kill(self, *names: str) -> None:
        """kill -9."""
        for name in names:
            self.parts[name].kill()

    def start(self, name: str) -> None:
        """As a supervisor would, after the process has ended: same folder, same port."""
        self.parts[name].start()
        if name in self._ports:
            until(lambda: listening(self._ports[name]), what=f"{name} answers")
        if name == "detector":
            until(self.frames, what="the detector sees")  # and has opened its outbox before

    def captures(self, count: int) -> None:
        """Wait until so many more faces are captured."""
        goal = 0.0

        def enough() -> bool:
            nonlocal goal
            captured = self.books()["captured"]
            goal = goal or captured + count
            return captured >= goal

        until(enough, 30, f"{count} more faces are captured")

    def recovers(self) -> None:
        """What was wrong has been put right: wait for the next object."""
        before = self.stored()
        until(lambda: self.stored() > before, RECOVERS_WITHIN, "the first object after the fault")

    def leave(self) -> None:
        """The person leaves; wait until the detector has seen that."""
        self.camera.show([np.zeros_like(self._images[0])])

        def nobody() -> bool:
            captured, frames = self.books()["captured"], self.frames()
            until(lambda: self.frames() >= frames + 10, 30, "frames go on coming")
            return self.books()["captured"] == captured

        until(nobody, 30, "nobody is captured any more")

    def settles(self, seconds: float = 90.0) -> dict[str, float]:
        """The person leaves; wait until the fate of each face is known. The books."""
        self.leave()

        def settled() -> dict[str, float] | None:
            now = self.books()
            assert balance(now), now
            return None if now["waiting"] else now

        return until(settled, seconds, "the fate of each face is known")

    @contextlib.contextmanager
    def another_processor(self) -> Iterator[Service]:
        with Service("processor", INSTANCE="second", **self._processors) as second:
            second.says("cloud broker .*: connected")
            yield second

    # What a test sees.

    @property
    def detector(self) -> Service:
        return self._service("detector")

    @property
    def forwarder(self) -> Service:
        return self._service("forwarder")

    @property
    def processor(self) -> Service:
        return self._service("processor")

    def _service(self, name: str) -> Service:
        service = self.parts[name]
        assert isinstance(service, Service)
        return service

    def books(self) -> dict[str, float]:
        return books(self.detector)

    def frames(self) -> float:
        return self.detector.metric("facepipe_detector_frames_total")

    def stored(self) -> int:
        """How many faces the bucket holds."""
        if self.fake is not None:
            return sum(key.startswith(f"{DEVICE}/") for key in self.fake.faces)
        return sum(1 for _ in (self.store.bucket / DEVICE).glob("*/*/face_*.png"))

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """The id and the bytes of each face in the bucket."""
        found = self.store.objects(f"{DEVICE}/") if self.fake is None else self.fake.faces
        for key, body in found.items():
            if key.startswith(f"{DEVICE}/") and key.endswith(".png"):
                yield key.rpartition("_")[2].removesuffix(".png"), body


def check(line: Pipeline, found: dict[str, float], exactly: bool = True) -> None:
    """Every face not counted as dropped or rejected is in the bucket once, byte for byte.

    Not `exactly` where a face may be stored and its fate forgotten, as with a damaged outbox.
    """
    objects = list(line.objects())
    ids = [id for id, _ in objects]
    assert len(set(ids)) == len(ids)
    assert not line.record.differing
    for id, body in objects:
        assert hashlib.sha256(body).hexdigest() == line.record.digests[id], id
    missing = found["dropped"] + found["rejected"]
    assert len(line.record.digests.keys() - set(ids)) <= missing
    if exactly:
        assert len(objects) == found["captured"] - missing, found
    else:
        assert len(objects) >= found["captured"] - missing, found
    for name, part in line.parts.items():
        assert part.running, f"{name} ended by itself"
        assert name == "store" or "Traceback" not in part.log, name
