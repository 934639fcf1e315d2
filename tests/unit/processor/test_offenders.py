"""Which devices are named, and for how long, without a bound that they could break."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from common.runtime.health import Health
from processor import offenders
from processor.offenders import Offenders


def counted(device: str) -> float:
    name = "facepipe_processor_device_messages_refused_total"
    return REGISTRY.get_sample_value(name, {"device": device, "reason": "rejected"}) or 0.0


async def flood_and_wait() -> None:
    health = Health()
    known = Offenders(health)
    for _ in range(100):
        known.count("box-1", "rejected")
        known.count("box-2", "hands_full")
    assert health.reasons() == {}
    for _ in range(100):
        known.count("box-1", "rejected_often")
        known.count("box-2", "hands_full")
    assert health.reasons() == {"sender_box-1": "floods"}
    async with asyncio.timeout(10):
        while health.reasons():
            await asyncio.sleep(0.01)


async def send_from_everywhere() -> None:
    health = Health()
    known = Offenders(health)
    before = counted("other"), counted("unknown")
    for number in range(offenders.NAMES_MAX + 10):
        for _ in range(200):
            known.count(f"bounded-{number}", "rejected")
    known.count("", "rejected")
    known.count("{x}\n", "rejected")
    assert counted("other") - before[0] == 2000
    assert counted("unknown") - before[1] == 2
    assert counted("bounded-0") == 200
    assert len(health.reasons()) == offenders.NAMED_MAX


def test_a_device_that_floods_is_named_until_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offenders, "QUIET", 0.05)
    asyncio.run(flood_and_wait())


def test_series_and_names_are_bounded_whatever_senders_call_themselves() -> None:
    asyncio.run(send_from_everywhere())
