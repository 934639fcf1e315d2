"""What each container may do, as the engine and the kernel have it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from enroll import package
from testing.store.nanio import KEY_ID, SECRET
from tests.containers.compose import Container
from tests.containers.confinement import assert_confined, assert_unprivileged
from tests.containers.engine import PARTS, docker
from tests.containers.stack import PASSWORD, Stack


@pytest.fixture(scope="module")
def running(stack: Stack) -> list[Container]:
    found = [*stack.jetson.all(), *stack.cloud.all()]
    services = sorted(container.service for container in found)
    assert services == ["broker", "broker", "detector", "forwarder", "gallery", "processor"]
    return found


@pytest.fixture(scope="module")
def every(stack: Stack, running: list[Container]) -> Iterator[list[Container]]:
    """And those that `docker compose run` would start."""
    by_hand = ((stack.cloud, "enroll"), (stack.cloud, "doctor"), (stack.jetson, "doctor"))
    for project, service in by_hand:
        project("create", "--no-build", service)
    yield [*running, *(project.one(service) for project, service in by_hand)]
    for project, service in by_hand:
        project("rm", "--force", service)


def test_each_container_has_what_it_needs_and_no_more(every: list[Container]) -> None:
    for container in every:
        assert_confined(container)


def test_each_service_comes_back_by_itself_and_says_how_it_is(running: list[Container]) -> None:
    for container in running:
        found = container.inspect()
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert found["State"]["Health"]["Status"] == "healthy"


def test_nothing_of_this_machine_can_be_written_to_or_reached(every: list[Container]) -> None:
    for container in every:
        found = container.inspect()
        for mount in found["Mounts"]:
            assert "docker.sock" not in mount["Source"]
            assert mount["Type"] == "volume" or not mount["RW"], mount
        devices = {device["PathOnHost"] for device in found["HostConfig"]["Devices"] or ()}
        assert devices <= {"/dev/null"}, "a clip needs no device"


def test_devices_reach_the_cloud_broker_and_this_machine_the_gallery_and_nothing_else(
    stack: Stack, running: list[Container]
) -> None:
    published = {
        (container.service, inside, outside["HostIp"], outside["HostPort"])
        for container in running
        for inside, bound in container.inspect()["NetworkSettings"]["Ports"].items()
        for outside in bound or ()
    }
    anywhere = {one for one in published if one[2] in ("0.0.0.0", "::")}
    assert {(one[0], one[1], one[3]) for one in anywhere} == {
        ("broker", "8883/tcp", str(stack.port))
    }
    gallery = ("gallery", "9104/tcp", "127.0.0.1", str(stack.gallery_port))
    assert published - anywhere == {gallery}


def test_a_webcam_is_the_one_device_and_comes_with_its_group(stack: Stack) -> None:
    """As Compose understands it: there is none here."""
    stack.jetson.env |= {"CAMERA": "", "CAMERA_DEVICE": "/dev/video7"}
    try:
        config: dict[str, Any] = json.loads(stack.jetson("config", "--format", "json"))
    finally:
        stack.jetson.env |= {"CAMERA": "/media/clip.mp4", "CAMERA_DEVICE": ""}
    for name, service in config["services"].items():
        devices = [device["source"] for device in service.get("devices", ())]
        assert devices == (["/dev/video7"] if name in ("detector", "doctor") else [])
    detector = config["services"]["detector"]
    assert detector["group_add"] == ["video"]
    assert detector["environment"]["CAMERA"] == "/dev/video7"


def test_the_kernel_agrees(running: list[Container]) -> None:
    """For each process: our user, no capability, no way to gain one, a filter of system calls."""
    for container in running:
        assert_unprivileged(container)


def mark(secret: str) -> str:
    """What to know a secret by: of a key, one line is enough."""
    key = secret.partition("PRIVATE KEY-----\n")[2]
    found = (key or secret).splitlines()[0].strip()
    assert len(found) > 10
    return found


def secrets(stack: Stack) -> dict[str, str]:
    """What must not be seen, by what it is."""
    edge, cloud = stack.jetson.one("broker"), stack.cloud.one("broker")
    found = {
        "COS secret": SECRET,
        "COS key id": KEY_ID,
        "detector's password": edge.exec("cat", "/secrets/detector/password"),
        "forwarder's password": edge.exec("cat", "/secrets/forwarder/password"),
        "health's password": edge.exec("cat", "/run/facepipe/health"),
        "device's key": (stack.jetson.home / package.BUNDLE).read_text(),
        "broker's key": cloud.exec("cat", "/etc/facepipe/server.pem"),
        "processor's key": stack.cloud.one("processor").exec("cat", "/etc/facepipe/processor.pem"),
        "gallery's key": stack.cloud.one("gallery").exec("cat", "/etc/facepipe/gallery.pem"),
        "password of the gallery": PASSWORD,
        "its hash": (stack.folder / "users").read_text().rpartition(":")[2],
    }
    return {name: mark(text) for name, text in found.items()}


def test_no_secret_is_in_what_the_engine_shows(stack: Stack, running: list[Container]) -> None:
    known = secrets(stack)
    for container in running:
        shown = {
            "inspect": docker("inspect", container.id),
            "log": docker("logs", container.id),
            "processes": docker("top", container.id, "-o", "pid,args"),
            "environment": container.exec("env"),
        }
        for where, text in shown.items():
            for name, secret in known.items():
                assert secret not in text, f"{name} in the {where} of {container.service}"


def test_no_secret_is_in_the_images(stack: Stack) -> None:
    known = secrets(stack)
    for part in PARTS:
        shown = docker("image", "inspect", f"facepipe/{part}")
        shown += docker("history", "--no-trunc", f"facepipe/{part}")
        for name, secret in known.items():
            assert secret not in shown, f"{name} in {part}"
        assert not re.search(r"PASSWORD|SECRET|API_KEY|BEGIN", shown)


def test_each_service_of_the_edge_has_its_own_password_alone(stack: Stack) -> None:
    edge = stack.jetson.one("broker")
    for service in ("detector", "forwarder"):
        own = stack.jetson.one(service).exec("cat", "/secrets/password")
        assert own == edge.exec("cat", f"/secrets/{service}/password")
    assert stack.jetson.one("detector").exec("cat", "/secrets/password") != stack.jetson.one(
        "forwarder"
    ).exec("cat", "/secrets/password")
