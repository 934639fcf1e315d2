"""The devices that send faces, as their services tell of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Protocol

from common.runtime.logs import StateLogger
from common.runtime.workers import Workers
from gallery.fleet import presentation
from gallery.fleet.figures import device_figures
from gallery.fleet.instance import Instance
from gallery.fleet.samples import EVERY, Samples, Series
from gallery.fleet.statuses import Statuses
from gallery.fleet.summary import Summary, sort_key, summarize
from gallery.metrics import DeviceFigures

log = logging.getLogger(__name__)

TELL_EVERY = 1.0  # seconds between two words to the pages
LOOK_EVERY = 5.0  # seconds between two looks for who has gone silent
ANSWERED_WITHIN = 3.0  # seconds, well below what a scrape may take
ROWS_MAX = 250  # devices in one live update


class FleetHub(Protocol):
    """Sends live updates to the open pages."""

    @property
    def watched(self) -> bool: ...

    def publish(self, kind: str, data: dict[str, Any]) -> None: ...


class Fleet:
    """Call it from the event loop only. `own`: the topic of our own status, which is ignored."""

    def __init__(self, data_folder: Path, root: str, hub: FleetHub, own: str = "") -> None:
        self._path = data_folder / "fleet.db"
        self._hub = hub
        self._own = own
        self._statuses = Statuses(root)
        self._samples: Samples | None = None
        self._disk = Workers("fleet")
        self._trouble = StateLogger(log, str(self._path))
        self._changed: set[str] = set()
        self._told: dict[str, dict[str, Any]] = {}
        self._looked = 0.0
        self._wake = asyncio.Event()
        self._opening = asyncio.Lock()
        self.is_connected = False  # to the broker: else all go silent, one after the other

    def connected(self) -> None:
        """For the link's `on_up`."""
        self._connection(True)

    def disconnected(self, _reason: str = "") -> None:
        """For the link's `on_down`."""
        self._statuses.disconnected()
        self._connection(False)

    def _connection(self, up: bool) -> None:
        self.is_connected = up
        self._hub.publish("status", {"connected": up})

    def take(self, topic: str, payload: bytes, retained: bool = True) -> None:
        """A message on `<root>/status/#`. All are retained; which are old is found out here."""
        del retained
        if topic == self._own:
            return
        device = self._statuses.take(topic, payload)
        if device is not None and self._hub.watched:
            self._changed.add(device)
            self._wake.set()

    def devices(self) -> list[Summary]:
        """All devices, those in trouble first."""
        found = [summary for name in self._statuses.devices if (summary := self.device(name))]
        return sorted(found, key=sort_key)

    def device(self, name: str) -> Summary | None:
        instances = self._statuses.of(name)
        return summarize(name, instances, time.time()) if instances else None

    def figures_source(
        self, loop: asyncio.AbstractEventLoop
    ) -> Callable[[], Iterable[DeviceFigures]]:
        """A function that collects all devices' figures from another thread, for /metrics."""

        async def all_figures() -> list[DeviceFigures]:
            wall = time.time()
            return [
                device_figures(summary, self._statuses.of(summary.name), wall)
                for summary in self.devices()
            ]

        def ask() -> Iterable[DeviceFigures]:
            if loop.is_closed():
                return ()
            future = asyncio.run_coroutine_threadsafe(all_figures(), loop)
            try:
                return future.result(ANSWERED_WITHIN)
            except (TimeoutError, CancelledError):
                return ()  # better without these than without the metrics of what holds us up

        return ask

    def services(self, device: str) -> list[Instance]:
        """Its services, by name."""
        return sorted(self._statuses.of(device), key=lambda one: one.name)

    async def samples(self, device: str) -> list[Series]:
        """The last day of its services; nothing while the disk is in trouble."""
        samples = await self._open_samples()
        if samples is None:
            return []
        try:
            return await self._disk.run(samples.of, device, time.time())
        except sqlite3.Error as error:
            log.warning("%s cannot be read: %s", self._path, error)
            return []

    async def keep_telling(self) -> None:
        """Tell the open pages what has changed, once a second at most."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY)
            self._wake.clear()
            self._tell()
            await asyncio.sleep(TELL_EVERY)

    def _tell(self) -> None:
        if not self._hub.watched:
            self._changed, self._told = set(), {}
            return
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._looked = time.monotonic()
            self._changed.update(self._statuses.devices, self._told)
        rows: list[dict[str, Any]] = []
        gone: list[str] = []
        while self._changed and len(rows) < ROWS_MAX:
            name = self._changed.pop()
            summary = self.device(name)
            if summary is None:
                gone.append(name)
                self._told.pop(name, None)
            elif (row := presentation.row(summary)) != self._told.get(name):
                self._told[name] = row
                rows.append(row)
        if self._changed:
            self._wake.set()
        if rows or gone:
            self._hub.publish("status", {"devices": rows, "gone": gone})

    async def keep_sampling(self) -> None:
        """Keep what came in each five minutes; without a disk, go on without it."""
        await self._open_samples()
        while True:
            now = time.time()
            await asyncio.sleep(EVERY - now % EVERY)
            await self.sample(round(time.time() / EVERY) * EVERY)

    async def _open_samples(self) -> Samples | None:
        """The samples on disk, if they can be had."""
        async with self._opening:
            try:
                if self._samples is None:
                    self._samples = await self._disk.run(Samples, self._path)
                    self._statuses.knew(await self._disk.run(self._samples.lasts))
            except (sqlite3.Error, OSError) as error:
                self._trouble.begin("disk", f"cannot be opened: {error}")
            return self._samples

    async def sample(self, at: int) -> None:
        """Keep what came up to `at`, seconds since 1970, since the last time."""
        tallies = [
            (one.name, tally) for one in self._statuses if (tally := one.sampled()) is not None
        ]
        samples = await self._open_samples()
        if samples is None:
            return
        try:
            await self._disk.run(samples.add, at, tallies)
        except (sqlite3.Error, OSError) as error:
            self._trouble.begin("disk", f"cannot be written: {error}")
        else:
            if self._trouble.reason is not None:
                self._trouble.end("can be written again")
