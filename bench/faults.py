"""Misfortune at random: what is killed and started again, cut and healed, each at its own pace.

Each victim has a thread and a random generator of its own, so that a seed gives each of them the
same misfortune again, whatever happens to the others; and so that two or more are down together,
as often as chance has it. Storms alternate with calms, in which what waits
flows off (connecting again backs off to 10 s): a pipeline that is down anyway shows little.
"""

from __future__ import annotations

import collections
import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from bench.parts import Parts
from testing.network.proxy import Proxy
from testing.services.process import Process, Service

STORM, CALM = 15.0, 15.0  # seconds, in turns
TICK = 0.1  # seconds
LOOK = 0.2  # seconds between looks of the supervisor
SLOW = 8_000.0  # bytes a second: 64 kbit/s
DELAY = 0.25  # seconds each way: a round trip of 500 ms
CUTS = ("link reset", "link silent", "link vanished")


class Faults:
    """Use in `with`: it rains until the end, and everything runs when it is over."""

    def __init__(self, parts: Parts, detector: Service, seed: int, pace: float) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.ended: collections.Counter[str] = collections.Counter()  # parts that ended themselves
        self._parts = parts
        self._killed = {
            "detector": detector,
            "forwarder": parts.forwarder,
            "processor": parts.processor,
            "edge broker": parts.edge,
            "cloud broker": parts.cloud,
            "store": parts.store,
        }
        self._down: set[str] = set()  # killed, and to stay so for a while
        self._lock = threading.Lock()  # whoever kills or starts has it
        self._over, self._healed = threading.Event(), threading.Event()
        lanes: list[tuple[str, float, Callable[[random.Random], None]]] = [
            (name, pace, self._killer(name)) for name in self._killed
        ]
        lanes += [("link", pace / 3, self._link), ("store's link", pace, self._store_link)]
        self._lanes = [
            threading.Thread(target=self._rain, args=(random.Random(f"{seed} {name}"), mean, fault))
            for name, mean, fault in lanes
        ]
        self._supervisor = threading.Thread(target=self._supervise)

    def __enter__(self) -> Faults:
        self._began = time.monotonic()
        for thread in [*self._lanes, self._supervisor]:
            thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        for lane in self._lanes:
            lane.join()
        self._healed.set()
        self._supervisor.join()

    @property
    def kills(self) -> int:
        return sum(count for what, count in self.counts.items() if what.startswith("kill -9"))

    @property
    def cuts(self) -> int:
        return sum(self.counts[what] for what in CUTS)

    def _rain(
        self, chance: random.Random, mean: float, fault: Callable[[random.Random], None]
    ) -> None:
        while self._stormed(chance.uniform(0.4, 1.6) * mean):
            fault(chance)

    def _stormed(self, seconds: float) -> bool:
        """Let so many seconds of storm go by; False when it is over for good."""
        while seconds > 0:
            if self._over.wait(TICK):
                return False
            if (time.monotonic() - self._began) % (STORM + CALM) < STORM:
                seconds -= TICK
        return True

    def _killer(self, name: str) -> Callable[[random.Random], None]:
        def kill(chance: random.Random) -> None:
            with self._lock:
                self._down.add(name)
                self._killed[name].kill()
            self.counts[f"kill -9 {name}"] += 1
            self._over.wait(chance.uniform(0.0, 3.0))
            self._down.discard(name)  # the supervisor starts it again

        return kill

    def _supervise(self) -> None:
        """Start what does not run, as Docker or systemd would."""
        while True:
            healed = self._healed.wait(LOOK)
            with self._lock:
                for name, part in self._killed.items():
                    if not part.running and name not in self._down:
                        self.ended[name] += part.wait() != -signal.SIGKILL
                        self._start(part)
            if healed:
                return

    @staticmethod
    def _start(part: Process) -> None:
        with contextlib.suppress(AssertionError):  # it does not come up: the next look will tell
            part.start()

    def _link(self, chance: random.Random) -> None:
        wan = self._parts.wan
        what = chance.choices(
            [*CUTS, "link slow", "link delayed"], weights=[0.4, 0.2, 0.2, 0.1, 0.1]
        )[0]
        # Now and then longer than the 20 s after which a silent link is given up.
        seconds = chance.uniform(21, 25) if chance.random() < 0.08 else chance.uniform(0.5, 4)
        self.counts[what] += 1
        if what == "link reset":
            with _refusing(wan):
                self._over.wait(min(seconds, 4))
        elif what == "link vanished":
            wan.mode = "hole"
            self._over.wait(seconds)
            wan.reset()  # who comes back after bytes were lost for good is no longer known
        elif what == "link silent":
            wan.mode = "stall"
            self._over.wait(seconds)
        elif what == "link slow":
            wan.rate = SLOW
            self._over.wait(seconds)
        else:
            wan.lag = DELAY
            self._over.wait(seconds)
            wan.reset()  # else bytes that come at once would overtake those that are still late
        wan.mode, wan.rate, wan.lag = "pass", None, 0.0

    def _store_link(self, chance: random.Random) -> None:
        s3 = self._parts.s3
        what = chance.choice(["store stalled", "store's connections reset"])
        # Now and then longer than the 15 s that a PUT may take.
        seconds = chance.uniform(16, 18) if chance.random() < 0.1 else chance.uniform(0.5, 4)
        self.counts[what] += 1
        if what == "store stalled":
            s3.mode = "stall"
            self._over.wait(seconds)
            s3.mode = "pass"
        else:
            with _refusing(s3):
                self._over.wait(min(seconds, 4))


@contextlib.contextmanager
def _refusing(proxy: Proxy) -> Iterator[None]:
    proxy.refuse()
    yield
    proxy.mode = "pass"
