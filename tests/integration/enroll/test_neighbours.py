"""A thief of a device fills up the cloud broker with what he may retain."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from testing.host.wait import until
from testing.services.enrolment import CloudBroker, Enrolment, Peer
from testing.services.process import ROOT

LARGE = bytes(4_000_000)


def memory(broker: CloudBroker) -> int:
    """Bytes that the broker has in memory now."""
    status = Path(f"/proc/{broker.pid}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def container_limit() -> int:
    """Bytes that the broker's container may have."""
    compose = (ROOT / "docker-compose.cloud.yml").read_text()
    found = re.search(r"^  broker:.*?mem_limit: (\d+)m", compose, re.DOTALL | re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 * 1024


def test_retained_messages_never_fill_the_brokers_container(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    honest = enrolment.enrol("jetson-2")
    numbers = itertools.count()

    def fill() -> bool:
        """Retain until the broker ends the connection; whether it did."""
        with Peer(cloud.port, device) as thief:
            while thief.is_in and next(numbers) < 200:
                topic = f"faces/status/jetson-1/detector/{next(numbers)}"
                thief._client.publish(topic, LARGE, qos=0, retain=True).wait_for_publish(10)
            return bool(thief.ended)

    with Peer(cloud.port, honest) as peer:
        until(fill, 60, "the thief is thrown out")
        assert memory(cloud) < container_limit()
        for _ in range(3):
            assert peer.may_publish("faces/from/jetson-2", bytes(20_000))
        assert cloud.running
        enrolment.run("revoke", "jetson-1")
        with Peer(cloud.port, device) as thief:
            assert not thief.is_in
        assert peer.may_publish("faces/from/jetson-2", bytes(20_000))
