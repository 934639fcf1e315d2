"""The broker's image on its own: when it starts, when it ends, what it keeps, what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from testing.host.wait import until
from tests.containers.compose import Container
from tests.containers.engine import docker
from tests.containers.stack import Stack

pytestmark = pytest.mark.usefixtures("images")

NAME = "facepipe-test-broker"
FOLDERS = ("/tmp", "/run/facepipe", "/etc/facepipe")
PROCESSES = ("mosquitto -c", "mawk")


@pytest.fixture
def edge() -> Iterator[Container]:
    """An edge broker with nothing around it."""
    writable = [f"--tmpfs={folder}:uid=10001,gid=10001" for folder in FOLDERS]
    writable += ["--volume=/secrets/detector", "--volume=/secrets/forwarder"]
    options = ("--name", NAME, "--init", "--read-only", "--cap-drop=ALL", *writable)
    docker("run", "--detach", "--restart=unless-stopped", *options, "facepipe/broker", "edge")
    broker = Container(NAME, "broker")
    try:
        broker.becomes_healthy(30)
        yield broker
    finally:
        docker("rm", "--force", "--volumes", NAME)


def own_pid(broker: Container, command: str) -> str:
    """The process id of what runs as `command`, as its container counts."""
    loop = 'for p in /proc/[0-9]*; do echo "${p#/proc/} $(tr "\\0" " " < $p/cmdline)"; done'
    lines = broker.exec("sh", "-c", loop).splitlines()
    return next(line.split()[0] for line in lines if line.partition(" ")[2].startswith(command))


def restarts(broker: Container) -> int:
    return int(broker.inspect()["RestartCount"])


def test_without_certificates_it_refuses_to_start_and_says_what_makes_them() -> None:
    said = docker("run", "--rm", "facepipe/broker", "cloud", code=2)
    command = "docker compose -f docker-compose.cloud.yml run --rm enroll <device>"
    assert f"there are no certificates yet: run {command}" in said


def test_it_wants_to_know_which_broker_it_is() -> None:
    assert "say which broker: edge or cloud" in docker("run", "--rm", "facepipe/broker", code=2)


def test_it_stops_when_told_to_and_keeps_the_passwords(edge: Container) -> None:
    passwords = edge.exec("cat", "/secrets/detector/password", "/secrets/forwarder/password")
    assert len({*passwords.split()}) == 2
    docker("stop", "--time", "8", NAME)
    assert edge.inspect()["State"]["ExitCode"] == 0
    docker("start", NAME)
    edge.becomes_healthy(30)
    again = edge.exec("cat", "/secrets/detector/password", "/secrets/forwarder/password")
    assert again == passwords


def test_a_password_that_is_gone_is_made_anew(edge: Container) -> None:
    edge.exec("rm", "/secrets/detector/password")
    docker("restart", "--time", "8", NAME)
    edge.becomes_healthy(30)
    login = "mosquitto_pub -u detector -P $(cat /secrets/detector/password) -t faces -m x"
    edge.exec("sh", "-c", login)
    assert "not authorised" in edge.exec(
        "mosquitto_pub", "-u", "detector", "-P", "wrong", "-t", "faces", "-m", "x", code=5
    )
    assert "not authorised" in edge.exec("mosquitto_pub", "-t", "faces", "-m", "x", code=5)


@pytest.mark.parametrize("process", PROCESSES)
def test_when_a_part_of_it_dies_it_ends_as_a_whole(edge: Container, process: str) -> None:
    before = restarts(edge)
    edge.exec("sh", "-c", f"kill -9 {own_pid(edge, process)}")
    until(lambda: restarts(edge) > before, 30, "Docker starts it anew")
    edge.becomes_healthy(30)


def test_when_mosquitto_hangs_it_ends(edge: Container) -> None:
    """Docker would only call it unhealthy, and leave it at that."""
    before = restarts(edge)
    edge.exec("sh", "-c", f"kill -STOP {own_pid(edge, 'mosquitto -c')}")
    until(lambda: restarts(edge) > before, 90, "Docker starts it anew")
    assert re.search(r"no sign of life from Mosquitto for 60 s", docker("logs", NAME))
    edge.becomes_healthy(30)


def test_the_log_has_no_line_per_packet_and_denies_nobody_who_may(stack: Stack) -> None:
    log = stack.cloud.one("broker").log
    assert "as jetson-1" in log
    assert not re.search(r"(Received|Sending) [A-Z]+ |\t", log)
    assert not re.search(r"Denied \w+ from (jetson-1|processor|health)", log)
