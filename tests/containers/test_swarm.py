"""Three processors on Docker Swarm: one is killed, all are replaced, and no face is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.host.wait import until
from tests.containers.engine import docker
from tests.containers.stack import DEVICE
from tests.containers.swarm import NETWORK, REPLICAS, Device, Swarm, kill, stored_by


@pytest.fixture(scope="module")
def swarm(
    images: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Swarm]:
    """If a test fails, the logs are shown."""
    before = request.session.testsfailed
    with Swarm(tmp_path_factory.mktemp("swarm")) as running:
        yield running
        if request.session.testsfailed > before:
            running.show()


def test_nothing_is_lost_when_processors_are_killed_and_replaced(swarm: Swarm) -> None:
    with Device(swarm.port, swarm.bundle) as device:
        three = swarm.tasks("processor")
        assert len(three) == REPLICAS
        until(lambda: all(stored_by(one) > 5 for one in three), 60, "each stores some")

        kill(three[0])
        device.goes_on()
        swarm.becomes("processor", REPLICAS)

        before = {one.id for one in swarm.tasks("processor")}
        update = ("service", "update", "--force", "--quiet", f"{swarm.name}_processor")
        docker(*update, timeout=300)
        swarm.becomes("processor", REPLICAS)
        after = swarm.tasks("processor")
        assert not before & {one.id for one in after}
        device.goes_on()
        until(lambda: all(stored_by(one) > 5 for one in after), 60, "each new one stores some")
        device.settles()

    keys = swarm.store.objects(f"{DEVICE}/")
    found = {key.rpartition("_")[2].removesuffix(".png"): key for key in keys}
    print(f"{len(device.sent)} faces, {device.again} sent again, {len(keys)} objects")
    assert len(found) == len(keys)
    assert found.keys() == device.sent.keys()
    assert all(keys[key] == device.sent[id] for id, key in found.items())


def test_each_task_has_what_it_needs_and_no_more(swarm: Swarm) -> None:
    """But for `no-new-privileges`, which Swarm knows only for the whole engine."""
    for service in ("broker", "processor", "gallery"):
        for task in swarm.tasks(service):
            found = task.inspect()
            host = found["HostConfig"]
            assert found["Config"]["User"] == "10001:10001"
            assert host["ReadonlyRootfs"]
            assert host["CapDrop"] == ["ALL"]
            assert host["Init"]
            assert host["Memory"] > 0
            assert host["PidsLimit"] > 0
            assert {*found["NetworkSettings"]["Networks"]} == {NETWORK}
            ports = found["NetworkSettings"]["Ports"] or {}
            published = [port for port, bound in ports.items() if bound]
            assert published == (["8883/tcp"] if service == "broker" else [])


def test_a_changed_secret_is_taken_up_by_deploying_again(swarm: Swarm) -> None:
    before = {one.id for one in swarm.tasks("processor")}
    words = ("run", "--rm", "-T", "--entrypoint", "cat", "enroll")
    swarm.enroll("renew")
    identity = swarm("--progress", "quiet", *words, "/identities/processor/processor.pem")
    swarm.given("processor.pem", identity[identity.index("-----BEGIN") :])
    swarm.deploy()
    until(
        lambda: not before & {one.id for one in swarm.tasks("processor")},
        180,
        "each was replaced",
    )
    swarm.becomes("processor", REPLICAS)
    with Device(swarm.port, swarm.bundle) as device:
        device.goes_on()
        device.settles()
