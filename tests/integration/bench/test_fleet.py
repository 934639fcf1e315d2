"""The load of simulated devices, and what follows from its cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fleet import servers
from bench.load.cloud import Cloud, Identities
from bench.load.feeder import feed
from bench.measure import Meter, percentile, ratio


def test_each_face_of_real_devices_is_one_object_and_has_its_receipt(tmp_path: Path) -> None:
    identities = Identities(tmp_path, ["device-0", "device-1", "device-2"])
    with Cloud(identities) as cloud:
        used = Meter(cloud.pids)
        fed = feed(
            used,
            host="localhost",
            port=cloud.broker.port,
            bundle=str(tmp_path / "{device}.pem"),
            topic="faces/from/{device}",
            device="device",
            devices=3,
            kb=2,
            seconds=1.0,
            rate=60.0,
            patience=20.0,
        )
        assert fed.sent == fed.heard > 0
        assert fed.doubles == 0
        assert cloud.sink.stats()["objects"] == fed.sent
        assert used.cpu["processor 1"] > 0
        assert used.cpu["broker"] > 0


def test_a_server_carries_what_its_cores_bear_but_no_more_than_one_broker_does() -> None:
    cost = {"broker": 0.0001, "log filter": 0.0001, "processor": 0.0008, "store": 1.0}
    told = {figure.name: figure.value for figure in servers(cost)}
    assert told["4 cores: faces a second"] == pytest.approx(4000)
    assert told["4 cores: devices at 10 a second"] == 400
    assert told["4 cores: processors"] == 4
    assert told["4 cores: processors at 50 ms a PUT"] == 13  # 16 of them under way in each
    assert told["16 cores: faces a second"] == pytest.approx(10_000)


def test_a_ratio_is_the_median_of_runs_that_took_turns() -> None:
    assert ratio([2, 30, 4], [1, 3, 2]) == 2
    assert percentile([5, 1, 3], 0.5) == 3
