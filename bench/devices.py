"""A hundred devices in one process, as cheap as they can be: for bench.fleet.

Each has a connection of its own, over TLS with its own certificate, publishes what bench/device.py
says, and hears its receipts. `Devices` runs `python -m bench.devices` and tells it what to do.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import selectors
import sys
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from bench.device import Books, Device, Ready
from bench.wire import PUBLISH, Letter, Session
from common.mqtt.broker import Broker
from common.protocol.face import Face
from testing.services.process import Process

LOOK_EVERY = 0.1  # seconds between looks for faces whose receipt is late
RECEIPTS = 64 * 1024  # bytes of them read at once
IN, OUT = selectors.EVENT_READ, selectors.EVENT_WRITE


class Connected:
    """A device and its connection."""

    def __init__(self, name: str, session: Session, device: Device) -> None:
        self.name, self.session, self.device = name, session, device
        self.events = IN

    def send(self, now: float) -> None:
        for parts in self.device.admitted(now):
            self.session.put(parts)
        self.session.flush()

    def read(self, now: float) -> None:
        for kind, head in self.session.packets():
            if kind & 0xF0 == PUBLISH:
                self.device.hear(_payload(head), now)


def _payload(publish: bytes) -> bytes:
    """What comes after topic and properties, at QoS 0: MQTT 5, section 3.3."""
    at = 2 + int.from_bytes(publish[:2], "big")
    size = shift = 0
    while True:
        size |= (publish[at] & 127) << shift
        shift += 7
        at += 1
        if publish[at - 1] < 128:
            return publish[at + size :]


class Fleet:
    """All of them, in one thread. The public methods are what one can ask for, by name."""

    def __init__(self, parent: Connection, window: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(parent, IN, None)
        self._parent = parent
        self._window = window
        self._all: list[Connected] = []
        self._due: list[tuple[float, int]] = []  # a heap: when a device has its next face
        self._every = 0.0  # seconds from one to the next
        self._books = Books()
        self._times: list[float] = []
        self._asked = True  # that it goes on

    def enter(self, name: str, broker: Broker, faces: list[Face]) -> None:
        """Bring a device into the broker."""
        session = Session(broker, name, RECEIPTS)
        session.subscribe([f"faces/receipts/{name}"], 0)
        device = Device(
            [_ready(face, name) for face in faces], self._window, self._books, self._times
        )
        self._all.append(Connected(name, session, device))
        self._selector.register(session.sock, IN, self._all[-1])

    def rate(self, each: float) -> None:
        """Faces a second of each device from now on, evenly spread; times are counted anew."""
        now = time.monotonic()
        self._every = 1 / each if each else 0.0
        count = len(self._all)
        self._due = [(now + self._every * i / count, i) for i in range(count)] if each else []
        self._times.clear()

    def books(self) -> tuple[Books, int]:
        """And how many of the faces are waiting."""
        return self._books, self._books.waiting

    def times(self) -> list[float]:
        """Seconds from capture to receipt, of each face since then."""
        return self._times

    def confirmed(self) -> dict[str, list[str]]:
        """The ids of each device."""
        return {one.name: one.device.confirmed for one in self._all}

    def end(self) -> None:
        self._asked = False

    def run(self) -> None:
        look_at = time.monotonic()
        while self._asked:
            now = time.monotonic()
            until = min(look_at, self._due[0][0]) if self._due else look_at
            for key, _ in self._selector.select(max(0.0, until - now)):
                self._happened(key.data)
            now = time.monotonic()
            self._capture(now)
            if now >= look_at:
                look_at = now + LOOK_EVERY
                for one in self._all:
                    one.device.look(now)
                    self._send(one, now)

    def _happened(self, one: Connected | None) -> None:
        if one is None:
            name, words = self._parent.recv()
            self._parent.send(getattr(self, name)(*words))
            return
        now = time.monotonic()
        one.read(now)
        self._send(one, now)

    def _capture(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            due, index = self._due[0]
            heapq.heapreplace(self._due, (due + self._every, index))
            self._all[index].device.capture(due)
            self._send(self._all[index], now)

    def _send(self, one: Connected, now: float) -> None:
        one.send(now)
        events = IN | OUT if one.session.waiting else IN
        if events != one.events:
            one.events = events
            self._selector.modify(one.session.sock, events, one)


def _ready(face: Face, device: str) -> Ready:
    facts = {name: value for name, value in face.facts.items() if name not in ("id", "device")}
    facts = {"device": device, **facts}
    return Ready(Letter.to(f"faces/from/{device}", device, facts, face.png, 0), face.sha256)


class Devices(Process):
    """Use in `with`; then `ask`."""

    def __init__(self, port: int, bundles: dict[str, Path], faces: list[Face], window: int) -> None:
        self._listener = Listener(family="AF_UNIX")
        self._briefing = (port, bundles, faces, window)
        command = [sys.executable, "-m", "bench.devices", str(self._listener.address)]
        super().__init__(command)
        self._child: Connection

    def start(self) -> None:
        super().start()
        self._child = self._listener.accept()
        self._child.send(self._briefing)
        self._child.recv()  # all are connected

    def ask(self, name: str, *words: object) -> Any:
        """Have a method of Fleet called there; what it returns.

        Raises:
            EOFError: the process has ended.
        """
        self._child.send((name, words))
        return self._child.recv()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._child.close()
        self._listener.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.devices", description=__doc__)
    parser.add_argument("control", help="the Unix socket of who runs it")
    with Client(parser.parse_args().control) as parent:
        port, bundles, faces, window = parent.recv()
        fleet = Fleet(parent, window)
        for name, bundle in bundles.items():
            fleet.enter(name, Broker("cloud", "localhost", port, bundle=str(bundle)), faces)
        gc.collect()
        gc.freeze()  # a hundred devices with their faces need not be looked at again and again
        parent.send(len(bundles))
        fleet.run()


if __name__ == "__main__":
    main()
