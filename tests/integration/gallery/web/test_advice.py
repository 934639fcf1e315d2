"""The first page while there are no faces: what to do next, by what is there already."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from common.protocol.clock import to_rfc3339
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import PASSWORD, Gallery
from testing.store.folder import BucketFolder
from testing.store.nanio import BUCKET

DEVICE, SERVER = "jetson-1/detector/door", "cloud/processor/one"
SILENT = {"at": to_rfc3339(1_750_000_000.0)}  # a status of long ago, that the broker has kept

Tell = Callable[..., None]

expect.set_options(timeout=15_000)


@pytest.fixture
def tell(cloud: Mosquitto) -> Iterator[Tell]:
    """Publishes a service's status."""
    with Mqtt(cloud.port) as client:

        def told(name: str, **facts: Any) -> None:
            message = {"state": "online", "at": to_rfc3339(time.time()), "period": 10, **facts}
            topic = f"faces/status/{name}"
            client.publish(topic, json.dumps(message).encode(), qos=1, retain=True)

        yield told


@pytest.fixture
def gallery(tmp_path: Path, cloud: Mosquitto) -> Iterator[Gallery]:
    bucket = BucketFolder(tmp_path / "store")
    settings = {"MQTT_PORT": cloud.port, "SYNC_HOURS": 0.001}  # it lists the bucket every 4 s
    with Gallery(bucket, tmp_path / "data", **settings) as started:
        started.says("cloud broker .*: connected")
        started.says("listed 0 objects")
        yield started


@pytest.fixture
def page(gallery: Gallery, browser: Browser) -> Iterator[Page]:
    """The first page, which stays open from now on."""
    # axe brings itself in as a script, which the page's policy refuses to everybody else.
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"{gallery.at}/")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    with page.expect_request("**/live?after=*"):
        page.get_by_role("button", name="Sign in").click()
    yield page
    context.close()


def says(page: Page, title: str, *texts: str) -> None:
    advice = page.locator("#advice")
    expect(advice.get_by_role("heading")).to_have_text(title)
    for text in texts:
        expect(advice).to_contain_text(text)


def test_without_a_device_it_says_how_to_enrol_one(page: Page) -> None:
    says(page, "No device has reported yet", "enroll jetson-1 > jetson-1.tar", "up -d")
    says(page, "No device has reported yet", "docker-compose.cloud.yml run --rm doctor")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_servers_own_services_are_no_device(page: Page, tell: Tell) -> None:
    tell(SERVER)
    expect(page.locator("#advice")).to_be_visible()
    page.goto(f"{page.url}fleet")
    expect(page.locator("[data-device=cloud]")).to_be_visible()
    page.go_back()
    says(page, "No device has reported yet")


def test_devices_that_have_gone_silent_are_named(page: Page, tell: Tell) -> None:
    tell(DEVICE, **SILENT)
    tell("jetson-2/forwarder/main", **SILENT)
    says(page, "No device is reporting", "jetson-1, jetson-2 have reported before", "enroll list")


def test_it_follows_a_device_on_its_way_to_the_first_face(page: Page, tell: Tell) -> None:
    says(page, "No device has reported yet")
    tell(DEVICE, status="degraded", reasons={"camera": "silent"})
    says(page, "Waiting for the first face", "detector door: camera silent", "logs --tail 20")
    tell(DEVICE, captured=0)
    says(page, "Waiting for the first face", "Walk past the camera", "docker-compose.preview.yml")
    tell(DEVICE, captured=3)
    says(page, "No processor is storing faces", "jetson-1 has captured 3 faces", "up -d processor")
    tell(SERVER)
    says(page, "No faces in this bucket", f"The gallery reads {BUCKET} at file:", "{device}/")


def test_a_bucket_that_cannot_be_read_comes_first(page: Page, tell: Tell, tmp_path: Path) -> None:
    tell(DEVICE)
    says(page, "Waiting for the first face")
    bucket = tmp_path / "store" / BUCKET
    bucket.rename(bucket.with_name("unmounted"))
    says(page, "The bucket cannot be read", "logs --tail 20 gallery")
    bucket.with_name("unmounted").rename(bucket)
    says(page, "Waiting for the first face")


def test_without_its_broker_it_does_not_guess(page: Page, cloud: Mosquitto) -> None:
    cloud.kill()
    says(page, "The gallery is not connected to its broker", "ps broker")
