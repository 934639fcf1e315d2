"""The gallery behind real web servers, Debian's nginx and Caddy, as docs/proxy.md sets them up."""

from __future__ import annotations

import dataclasses
import http.client
import shutil
import socket
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.network.pki import Authority, Identity
from testing.network.web_servers import NAME, Caddy, Nginx, StrippingNginx, WebServer
from testing.pictures import png
from testing.services.gallery import PASSWORD, Gallery
from testing.services.process import Service
from testing.store.folder import BucketFolder

SERVERS = pytest.mark.parametrize("kind", [Nginx, Caddy], ids=["nginx", "caddy"])
BELOW = "/faces"
PLACES = [(Nginx, ""), (Nginx, BELOW), (StrippingNginx, BELOW), (Caddy, ""), (Caddy, BELOW)]
STRANGER = "127.0.0.2"  # a client's address that is not the proxy's


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "apt install chromium"
    with sync_playwright() as playwright:
        # Root cannot have the sandbox; it sees nothing but our own pages.
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Authority(tmp_path_factory.mktemp("pki")).issue("faces", host=NAME)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as started:
        yield started


@dataclasses.dataclass
class House:
    """A gallery, a processor that stores for it, and a web server in front."""

    server: WebServer
    gallery: Gallery
    sender: Sender
    home: str  # where a browser goes

    def store(self, seed: int) -> None:
        """A face arrives in the bucket."""
        self.sender.receipt(self.sender.send(png(seed=seed)))


@contextmanager
def housed(
    kind: type[WebServer], folder: Path, broker: Mosquitto, identity: Identity, **settings: object
) -> Iterator[House]:
    bucket = BucketFolder(folder / "store")
    shared = {"MQTT_PORT": broker.port}
    settings = {"HTTP_NAMES": NAME, **settings}
    base = str(settings.get("HTTP_PATH", ""))
    with (
        Gallery(bucket, folder / "data", **shared, **settings) as gallery,
        Service("processor", **shared, **bucket.settings) as processor,
        Sender(broker.port) as sender,
    ):
        processor.says("cloud broker .*: connected")
        gallery.says("listed 0 objects")
        upstream = urllib.parse.urlsplit(gallery.at).netloc
        with kind(folder / "web", upstream, identity, base) as server:
            yield House(server, gallery, sender, f"https://{NAME}:{server.port}{base}/")


@contextmanager
def watched(browser: Browser, home: str) -> Iterator[BrowserContext]:
    """A browser that asks nothing outside of `home`, and in which nothing fails."""
    context = browser.new_context(ignore_https_errors=True)
    asked: list[str] = []
    failed: list[str] = []

    def opened(page: Page) -> None:
        page.on("request", lambda request: asked.append(request.url))
        page.on(
            "response",
            lambda answer: failed.append(answer.url) if answer.status >= 400 else None,
        )
        page.on("pageerror", lambda error: failed.append(error.message))

    context.on("page", opened)
    yield context
    context.close()
    assert [url for url in asked if not url.startswith((home, "blob:", "data:"))] == []
    assert failed == []


def sign_in(page: Page, home: str) -> None:
    page.goto(home)
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Faces", level=1)).to_be_visible()


@pytest.mark.parametrize(("kind", "base"), PLACES)
def test_one_signs_in_sees_a_face_arrive_and_deletes_it(
    kind: type[WebServer],
    base: str,
    tmp_path: Path,
    broker: Mosquitto,
    identity: Identity,
    browser: Browser,
) -> None:
    own = {"HTTP_PATH": base, "HTTP_TRUSTED_PROXY": "127.0.0.1"}
    with (
        housed(kind, tmp_path, broker, identity, **own) as house,
        watched(browser, house.home) as context,
    ):
        page = context.new_page()
        with page.expect_request("**/live?after=*"):
            sign_in(page, house.home)
        cookies = {(cookie["path"], cookie["secure"]) for cookie in context.cookies()}
        assert cookies == {(f"{base}/", True)}
        tiles = page.locator(".tile")
        for count in (1, 2):  # at the first the page is loaded again, the second is put into it
            house.store(seed=count)
            expect(tiles).to_have_count(count)
        tiles.first.get_by_role("link").click()
        viewer = page.locator("#viewer")
        expect(viewer.locator(".whole")).to_have_js_property("naturalWidth", 8)
        assert page.url.startswith(f"{house.home}face/")
        viewer.get_by_role("button", name="Delete").click()
        page.locator("#confirm").get_by_role("button", name="Delete 1 face").click()
        expect(tiles).to_have_count(1)
        page.keyboard.press("Escape")
        for name in ("Fleet", "Deletions", "Faces"):
            page.get_by_role("link", name=name, exact=True).click()
            expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status")).to_have_text("You have signed out.")
        assert page.url.startswith(f"{house.home}login")


def ask(server: WebServer, method: str, path: str, body: str = "", **headers: str) -> Any:
    """An answer to a client at STRANGER's address, and its body."""
    raw = socket.create_connection(("127.0.0.1", server.port), 10, (STRANGER, 0))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPConnection(NAME, server.port)
    connection.sock = context.wrap_socket(raw, server_hostname=NAME)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    answer.text = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


def log_in(server: WebServer, password: str, **headers: str) -> Any:
    """An old browser, which sends no Sec-Fetch-Site."""
    form = urllib.parse.urlencode({"username": "anna", "password": password})
    headers = {"Origin": f"https://{NAME}:{server.port}", **headers}
    kind = "application/x-www-form-urlencoded"
    return ask(server, "POST", "/login", form, Content_Type=kind, **headers)


@SERVERS
def test_the_clients_address_is_the_one_that_the_trusted_proxy_saw(
    kind: type[WebServer], tmp_path: Path, broker: Mosquitto, identity: Identity
) -> None:
    with housed(kind, tmp_path, broker, identity, HTTP_TRUSTED_PROXY="127.0.0.0/31") as house:
        assert log_in(house.server, PASSWORD, X_Forwarded_For="203.0.113.9").status == 303
        house.gallery.says(rf"anna \(admin\) signed in from {STRANGER}\b")
        # It alone is refused after its tries; whoever sits at another address may try still.
        statuses = [log_in(house.server, "wrong password").status for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        assert house.gallery.admin().open("/")[0] == 200


@SERVERS
def test_a_proxy_that_is_not_trusted_is_the_client_itself(
    kind: type[WebServer], tmp_path: Path, broker: Mosquitto, identity: Identity
) -> None:
    with housed(kind, tmp_path, broker, identity, HTTP_TRUSTED_PROXY="192.0.2.0/24") as house:
        answer = log_in(house.server, PASSWORD, X_Forwarded_For="203.0.113.9")
        assert "Secure" not in answer.headers["Set-Cookie"]
        house.gallery.says(r"anna \(admin\) signed in from 127\.0\.0\.1\b")


@SERVERS
def test_a_name_that_the_gallery_was_not_told_is_refused_with_what_to_do(
    kind: type[WebServer], tmp_path: Path, broker: Mosquitto, identity: Identity
) -> None:
    with housed(kind, tmp_path, broker, identity, HTTP_NAMES="other.example") as house:
        answer = ask(house.server, "GET", "/", Accept="text/html")
        assert (answer.status, "HTTP_NAMES" in answer.text) == (421, True)


@SERVERS
def test_a_form_of_another_site_is_refused(
    kind: type[WebServer], tmp_path: Path, broker: Mosquitto, identity: Identity
) -> None:
    with housed(kind, tmp_path, broker, identity, HTTP_TRUSTED_PROXY="127.0.0.1") as house:
        port = house.server.port
        for origin in ("https://evil.example", f"http://{NAME}:{port}", f"https://{NAME}"):
            assert log_in(house.server, PASSWORD, Origin=origin).status == 403, origin
        assert log_in(house.server, PASSWORD).status == 303


def test_a_path_at_which_a_page_is_already_is_refused(tmp_path: Path) -> None:
    bucket = BucketFolder(tmp_path)
    with Gallery(bucket, tmp_path / "data", HTTP_PATH="/face/here") as gallery:
        assert gallery.wait() == 2
        assert "HTTP_PATH=/face/here is the path of a page of the gallery" in gallery.log
