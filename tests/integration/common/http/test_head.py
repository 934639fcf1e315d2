"""HEAD, by which many monitors and load balancers ask: as GET, without a body."""

from __future__ import annotations

import email
import re
import socket
import urllib.parse
from pathlib import Path

import pytest

from testing.host.wait import free_port, until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.gallery import Gallery
from testing.services.preview import Shown
from testing.services.process import Service
from testing.store.folder import BucketFolder

HEALTH = ("/healthz", "/metrics", "/nothing")
PREVIEW = ("/", "/page.js", "/page.css", "/icon.svg", "/live")
PAGES = ("/", "/login", "/live", "/more", "/days", "/fleet", "/fleet/samples", "/deletions", "/no")
KEPT = ("Content-Type", "Cache-Control", "X-Accel-Buffering", "Content-Security-Policy", "Location")


@pytest.fixture
def bucket(tmp_path: Path) -> BucketFolder:
    return BucketFolder(tmp_path / "store")


def answer(url: str, method: str, cookies: str) -> tuple[str, dict[str, str | None], bytes]:
    """Status and headers of an answer; and, for HEAD, what follows until the connection ends."""
    where = urllib.parse.urlsplit(url)
    request = f"{method} {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n"
    with socket.create_connection((where.hostname, where.port), 10) as sock:
        sock.sendall(f"{request}Cookie: {cookies}\r\n\r\n".encode())
        with sock.makefile("rb") as stream:
            status = stream.readline().split()[1].decode()
            head = b"".join(iter(stream.readline, b"\r\n"))
            body = stream.read() if method == "HEAD" else b""
    headers = email.message_from_bytes(head)
    return status, {name: headers[name] for name in KEPT}, body


def assert_same(url: str, cookies: str = "") -> None:
    status, headers, body = answer(url, "HEAD", cookies)
    assert (status, headers) == answer(url, "GET", cookies)[:2], url
    assert body == b"", url


def test_health_and_metrics_of_each_service(bucket: BucketFolder, tmp_path: Path) -> None:
    port = {"MQTT_PORT": free_port()}  # where nobody is: health is there from the beginning
    data = {"METRICS_PORT": 0, "GALLERY_DATA": tmp_path / "data"}
    camera = {"CAMERA": f"rtsp://127.0.0.1:{free_port()}/"}
    with (
        Service("detector", **port, **camera) as detector,
        Service("forwarder", CLOUD_HOST="127.0.0.1", CLOUD_PORT=free_port(), **port) as forwarder,
        Service("processor", **port, **bucket.settings) as processor,
        Service("gallery", **port, **bucket.settings, **data) as gallery,
    ):
        for service in (detector, forwarder, processor, gallery):
            for path in HEALTH:
                assert_same(service.url + path)


def test_each_page_of_the_preview() -> None:
    with Shown() as page:
        for path in (*PREVIEW, *HEALTH):
            assert_same(page.at + path)


def test_each_page_of_the_gallery(bucket: BucketFolder, tmp_path: Path, cloud: Mosquitto) -> None:
    port = {"MQTT_PORT": cloud.port}
    with (
        Gallery(bucket, tmp_path / "data", **port) as gallery,
        Service("processor", **port, **bucket.settings) as processor,
        Sender(cloud.port) as sender,
    ):
        processor.says("cloud broker .*: connected")
        gallery.says("listed 0 objects")
        admin = gallery.admin()
        sender.receipt(sender.send(png()))
        [ref] = until(admin.faces)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in admin.cookies)
        styles = re.findall(r'href="(/static/[^"]+)"', admin.open("/")[1].decode())
        faces = [f"/face/{ref}", f"/face/{ref}.json", f"/thumb/{ref}", f"/image/{ref}"]
        for path in (*PAGES, *styles, *faces):
            assert_same(admin.url + path, cookies)
            assert_same(admin.url + path)
