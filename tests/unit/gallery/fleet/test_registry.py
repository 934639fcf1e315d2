"""The fleet as a whole: what open pages are told, and what outlives the gallery."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.protocol.clock import to_rfc3339
from gallery.fleet import Fleet
from gallery.fleet.samples import EVERY


class Pages:
    """Stands for the hub with its open pages."""

    def __init__(self, watched: bool = True) -> None:
        self.watched = watched
        self.told: list[dict[str, Any]] = []

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        assert kind == "status"
        self.told.append(json.loads(json.dumps(data)))


def status(**facts: Any) -> bytes:
    return json.dumps(
        {"state": "online", "at": to_rfc3339(time.time()), "period": 10, **facts}
    ).encode()


async def happens(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


def test_open_pages_are_told_what_changes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.fleet.registry.TELL_EVERY", 0.01)
    pages = Pages()

    async def run() -> None:
        fleet = Fleet(tmp_path, "faces", pages, own="faces/status/cloud/gallery/g")
        fleet.connected()
        telling = asyncio.create_task(fleet.keep_telling())
        fleet.take("faces/status/jetson-1/detector/door", status(waiting=3))
        await happens(lambda: len(pages.told) == 2)
        fleet.take("faces/status/jetson-1/detector/door", status(waiting=3))
        fleet.take("faces/status/cloud/gallery/g", status())
        fleet.take("faces/status/jetson-2/detector/door", status())
        await happens(lambda: len(pages.told) == 3)
        fleet.take("faces/status/jetson-1/detector/door", b"")
        await happens(lambda: len(pages.told) == 4)
        telling.cancel()

    asyncio.run(run())
    connected, first, second, third = pages.told
    assert connected == {"connected": True}
    assert [row["name"] for row in first["devices"]] == ["jetson-1"]
    assert first["devices"][0]["cells"]["waiting"] == "3"
    assert [row["name"] for row in second["devices"]] == ["jetson-2"]
    assert third == {"devices": [], "gone": ["jetson-1"]}


def test_who_goes_silent_is_told_though_nothing_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.fleet.registry.TELL_EVERY", 0.01)
    monkeypatch.setattr("gallery.fleet.registry.LOOK_EVERY", 0.01)
    pages = Pages()

    async def run() -> None:
        fleet = Fleet(tmp_path, "faces", pages)
        telling = asyncio.create_task(fleet.keep_telling())
        fleet.take("faces/status/jetson-1/detector/door", status(period=1))
        await happens(lambda: len(pages.told) == 2)
        telling.cancel()

    asyncio.run(run())
    assert [event["devices"][0]["state"] for event in pages.told] == ["online", "silent"]


def test_samples_and_when_who_was_heard_outlive_the_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.fleet.registry.EVERY", 10**10)  # the test alone says when
    now = time.time()
    end = int(now) // EVERY * EVERY

    async def run() -> None:
        fleet = Fleet(tmp_path, "faces", Pages(watched=False))
        sampling = asyncio.create_task(fleet.keep_sampling())
        for frames in (0, 1000):
            at = to_rfc3339(now - 20 + frames / 100)
            fleet.take("faces/status/jetson-1/detector/door", status(at=at, frames=frames))
        await fleet.sample(end)
        (series,) = await fleet.samples("jetson-1")
        assert series.values["frames"][-1] == pytest.approx(100, rel=0.01)
        sampling.cancel()

    async def again() -> None:
        fleet = Fleet(tmp_path, "faces", Pages(watched=False))
        sampling = asyncio.create_task(fleet.keep_sampling())
        will = {"state": "offline", "at": to_rfc3339(0), "period": 10}
        fleet.take("faces/status/jetson-1/detector/door", json.dumps(will).encode())
        await happens(lambda: fleet.services("jetson-1")[0].since)
        (one,) = fleet.devices()
        assert (one.state, one.since) == ("silent", end)
        sampling.cancel()

    asyncio.run(run())
    asyncio.run(again())


def test_without_a_disk_the_fleet_is_shown_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "file").write_text("no folder")

    async def run() -> None:
        fleet = Fleet(tmp_path / "file", "faces", Pages())
        sampling = asyncio.create_task(fleet.keep_sampling())
        fleet.take("faces/status/jetson-1/detector/door", status())
        await happens(lambda: "cannot be opened" in caplog.text)
        await fleet.sample(0)
        assert await fleet.samples("jetson-1") == []
        assert [one.state for one in fleet.devices()] == ["online"]
        sampling.cancel()

    asyncio.run(run())
