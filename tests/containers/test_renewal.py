"""New certificates are taken up by containers that go on running."""

from __future__ import annotations

import re
from functools import partial

from enroll import package
from testing.host.wait import until, until_above
from tests.containers.compose import Container
from tests.containers.stack import DEVICE, OUTSIDE, Stack

LOOKS_EVERY = 45.0  # seconds until a service has looked for a new certificate, at most


def starts(stack: Stack) -> dict[str, str]:
    """When each container was started last."""
    here = [found for project in stack.projects for found in project.all()]
    return {found.id: found.inspect()["State"]["StartedAt"] for found in here}


def times(container: Container) -> int:
    return container.log.count("loaded the new certificate")


def test_a_device_takes_up_a_bundle_that_is_written_over_its_own(stack: Stack) -> None:
    before, forwarder = starts(stack), stack.jetson.one("forwarder")
    taken = times(forwarder)
    (stack.jetson.home / package.BUNDLE).write_text(stack.cloud.enroll("--pem", DEVICE)[0])
    until(lambda: times(forwarder) > taken, LOOKS_EVERY, "it is taken up")
    assert starts(stack) == before


def test_a_device_takes_up_what_is_unpacked_again_when_its_forwarder_restarts(
    stack: Stack,
) -> None:
    bundle = stack.enrol(DEVICE)
    stack.jetson("restart", "forwarder")
    forwarder = stack.jetson.one("forwarder")
    forwarder.becomes_healthy()
    assert forwarder.exec("cat", "/run/secrets/cloud-bundle") == bundle.read_text()
    until(lambda: re.search("cloud broker .*: connected", forwarder.log), what="it is in")


def test_a_device_whose_settings_are_all_in_env_needs_no_tar_file(stack: Stack) -> None:
    """As it was enrolled before there was one: a bundle, its name, the server's address."""
    bundle = stack.file("old.pem", (stack.jetson.home / package.BUNDLE).read_text())
    address = {"CLOUD_HOST": OUTSIDE, "CLOUD_PORT": str(stack.port), "CLOUD_BUNDLE": bundle}
    before = dict(stack.jetson.env)
    settings = stack.jetson.home / package.SETTINGS
    content = settings.read_text()
    settings.unlink()
    try:
        stack.jetson.env |= {"DEVICE": DEVICE, **address}
        stack.jetson.up("--force-recreate", "--no-deps", "forwarder")
        forwarder = stack.jetson.one("forwarder")
        until(lambda: re.search("cloud broker .*: connected", forwarder.log), what="it is in")
    finally:
        settings.write_text(content)
        stack.jetson.env = before
        stack.jetson.up("--force-recreate", "--no-deps", "forwarder")


def test_the_server_takes_up_what_is_renewed_there(stack: Stack) -> None:
    before = starts(stack)
    services = [stack.cloud.one(name) for name in ("processor", "gallery")]
    taken = [times(one) for one in services]
    stack.cloud.enroll("renew")
    broker = stack.cloud.one("broker")
    until(lambda: "certificates have changed" in broker.log, what="the broker is told")
    for one, count in zip(services, taken, strict=True):
        until_above(partial(times, one), count, LOOKS_EVERY, "certificates taken up")
    assert starts(stack) == before
    # A bundle of before the renewal is good still, and so are the names in the new certificate.
    stack.jetson("restart", "forwarder")
    forwarder = stack.jetson.one("forwarder")
    forwarder.becomes_healthy()
    until(lambda: re.search("cloud broker .*: connected", forwarder.log), what="it is in")
