"""The fleet's page of a real gallery: what it shows, and what it is told while it is open."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.protocol.clock import to_rfc3339
from testing.host.wait import free_port, until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import Admin, Gallery
from testing.store.nanio import Store

HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture
def gallery(cloud: Mosquitto, store: Store, tmp_path: Path) -> Iterator[Gallery]:
    settings = {"MQTT_PORT": cloud.port, "HTTP_PORT": free_port()}
    with Gallery(store, tmp_path / "gallery", **settings) as service:
        service.says("cloud broker .*: connected")
        yield service


@pytest.fixture
def services(cloud: Mosquitto) -> Iterator[Mqtt]:
    with Mqtt(cloud.port) as client:
        yield client


def tell(services: Mqtt, name: str, **facts: Any) -> None:
    message = {"state": "online", "at": to_rfc3339(time.time()), "period": 10, **facts}
    services.publish(f"faces/status/{name}", json.dumps(message).encode(), qos=1, retain=True)


def shown(admin: Admin, query: str = "") -> str:
    status, page = admin.open(f"/fleet{query}")
    assert status == 200
    return page.decode()


def devices(page: str) -> list[tuple[str, str]]:
    found = re.findall(r'data-device="([^"]+)" data-state="(\w+)"', page)
    return [(html.unescape(name), state) for name, state in found]


def test_each_device_is_there_with_those_in_trouble_first(gallery: Gallery, services: Mqtt) -> None:
    admin = gallery.admin("vic")
    assert "No device has reported yet" in shown(admin)
    tell(services, "jetson-1/detector/door", waiting=7)
    tell(services, "jetson-2/detector/door", status="degraded", reasons={"camera": "silent"})
    tell(services, "jetson-3/forwarder/main", state="offline")
    until(lambda: len(devices(shown(admin))) == 3)
    page = shown(admin)
    assert devices(page) == [
        ("jetson-3", "silent"),
        ("jetson-2", "degraded"),
        ("jetson-1", "online"),
    ]
    assert "detector door: camera silent" in page
    assert devices(shown(admin, "?q=SON-2")) == [("jetson-2", "degraded")]
    opened = shown(admin, "?device=jetson-1")
    assert re.search(r"<dt>waiting</dt><dd>7</dd>", opened)
    services.publish("faces/status/jetson-3/forwarder/main", b"", qos=1, retain=True)
    until(lambda: len(devices(shown(admin))) == 2)


def test_what_devices_say_is_text_and_never_markup(gallery: Gallery, services: Mqtt) -> None:
    admin = gallery.admin()
    name = f"{HTML}\"'"
    tell(
        services,
        f"{name}/{HTML}/{HTML}",
        version=HTML,
        status="degraded",
        reasons={HTML: HTML},
        dropped={HTML: 3},
    )
    until(lambda: devices(shown(admin)))
    page = shown(admin, "?device=" + "%3Cimg src=x onerror=alert(1)%3E%22'".replace(" ", "%20"))
    assert devices(page) == [(name, "degraded")]
    assert "<dt>dropped</dt><dd>3 (&lt;img" in page
    assert "<img src=x" not in page


def test_an_open_page_is_told_of_what_changes(gallery: Gallery, services: Mqtt) -> None:
    admin = gallery.admin()
    with admin.live() as events:
        tell(services, "jetson-1/detector/door", waiting=7)
        told = next(data for kind, data in events if kind == "status")
        (row,) = told["devices"]
        assert (row["name"], row["state"], row["cells"]["waiting"]) == ("jetson-1", "online", "7")
        services.publish("faces/status/jetson-1/detector/door", b"", qos=1, retain=True)
        assert next(data for kind, data in events if kind == "status")["gone"] == ["jetson-1"]


def test_all_that_the_page_is_made_of_comes_from_the_gallery(gallery: Gallery) -> None:
    admin = gallery.admin()
    parts = re.findall(r'(?:src|href)="([^"]+\.(?:js|css|svg))"', shown(admin))
    assert len(parts) >= 6
    assert all(part.startswith("/static/") for part in parts)
    charts = parts[0].rsplit("/", 1)[0] + "/charts.js"
    assert [part for part in [*parts, charts] if admin.open(part)[0] != 200] == []


def test_samples_of_a_device_nobody_knows_are_none(gallery: Gallery) -> None:
    admin = gallery.admin()
    status, body = admin.open("/fleet/samples?device=nobody")
    assert (status, json.loads(body)) == (200, {"every": 300, "services": []})
    assert admin.open("/fleet?part=device&device=nobody")[0] == 404


def test_a_gallery_that_is_cut_from_its_broker_says_so(gallery: Gallery, cloud: Mosquitto) -> None:
    admin = gallery.admin()
    notice = re.compile(r'id="cut"[^>]* hidden>')
    assert notice.search(shown(admin))
    with admin.live() as events:
        cloud.stop()
        assert next(data for kind, data in events if kind == "status") == {"connected": False}
    assert not notice.search(shown(admin))
