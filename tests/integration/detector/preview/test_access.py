"""Who may see the live preview: names, passwords, other sites, TLS."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path

import pytest

from common.http import server
from common.runtime import probe
from testing.host.wait import free_port, until
from testing.network.pki import Authority
from testing.services.preview import ADDRESSES, NAME, PASSWORD, Shown, Viewer, basic, get


@pytest.mark.parametrize("path", ["/", "/live"])
def test_by_a_name_that_is_not_ours_nothing_is_answered(page: Shown, path: str) -> None:
    """As when a stranger's page gives its own name our address: DNS rebinding."""
    status, _, body = get(page, path, Host="rebound.example")
    assert (status, b"HTTP_NAMES" in body) == (421, True)
    assert page.metric("facepipe_detector_preview_refused_total", reason="host") == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_cannot_open_the_picture(page: Shown, site: str) -> None:
    assert get(page, "/live", Sec_Fetch_Site=site)[0] == 403
    assert get(page, "/", Sec_Fetch_Site=site)[0] == 200  # a link from elsewhere


@pytest.mark.parametrize("path", [*ADDRESSES, "/live"])
def test_with_a_password_nothing_of_it_is_answered_without(guarded: Shown, path: str) -> None:
    status, headers, body = get(guarded, path)
    assert status == 401
    assert headers["www-authenticate"].startswith("Basic ")
    assert b"PREVIEW_PASSWORD" in body


@pytest.mark.parametrize(
    "given", [basic("wrong"), basic(""), "Basic ?", "Basic", f"Bearer {PASSWORD}", PASSWORD]
)
def test_a_wrong_password_is_refused_and_counted(guarded: Shown, given: str) -> None:
    assert get(guarded, "/", Authorization=given)[0] == 401
    assert guarded.metric("facepipe_detector_preview_refused_total", reason="password") == 1


def test_with_the_password_it_answers_by_the_names_it_knows(guarded: Shown) -> None:
    known = {"Authorization": basic(PASSWORD), "Host": f"{NAME}:9111"}
    assert get(guarded, "/", **known)[0] == 200
    assert get(guarded, "/", **known | {"Host": "rebound.example"})[0] == 421
    with Viewer(guarded, Authorization=basic(PASSWORD)) as viewer:
        viewer.next("frame")


def test_health_and_metrics_have_a_port_of_their_own_beside_a_page_for_others(
    guarded: Shown,
) -> None:
    assert guarded.url != guarded.at
    assert guarded.health()["alive"]
    for path in ("/metrics", "/healthz"):
        assert get(guarded, path, Authorization=basic(PASSWORD))[0] == 404


def test_the_containers_health_check_asks_where_health_is(guarded: Shown) -> None:
    port = guarded.url.rpartition(":")[2]
    settings = {"HTTP_HOST": "0.0.0.0", "HTTP_PORT": guarded.at.rpartition(":")[2]}
    assert probe.ask({**settings, "METRICS_PORT": port})[0]
    assert not probe.ask(settings)[0]


def test_who_opens_connections_without_end_gets_no_more_threads(guarded: Shown) -> None:
    host, port = guarded.at.rpartition("/")[2].split(":")
    opened = [socket.create_connection((host, int(port))) for _ in range(server.MAX_CONNECTIONS)]
    with socket.create_connection((host, int(port)), timeout=10) as late:
        assert late.recv(1) == b""  # closed at once
    assert guarded.health()["alive"]
    for sock in opened:
        sock.close()
    until(lambda: answers(guarded))


def answers(page: Shown) -> bool:
    try:
        return get(page, "/", Authorization=basic(PASSWORD))[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_the_password_is_starred_in_the_log(guarded: Shown) -> None:
    guarded.says("preview on")
    assert "PREVIEW_PASSWORD=***" in guarded.log
    assert PASSWORD not in guarded.log


def test_with_a_certificate_the_page_speaks_tls_and_a_silent_client_holds_nobody_up(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("jetson-1", host="127.0.0.1")
    port = free_port()
    settings = {"HTTP_CERT": own.cert, "HTTP_KEY": own.key, "PREVIEW_PASSWORD": PASSWORD}
    with Shown(HTTP_HOST="0.0.0.0", HTTP_PORT=port, METRICS_PORT=0, **settings) as page:
        assert page.at == f"https://0.0.0.0:{port}"
        with socket.create_connection(("127.0.0.1", port)):  # which never shakes hands
            context = ssl.create_default_context(cafile=str(authority.ca))
            secure = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
            secure.request("GET", "/", headers={"Authorization": basic(PASSWORD)})
            assert secure.getresponse().status == 200
            secure.close()
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        plain.request("GET", "/")
        with pytest.raises((http.client.HTTPException, OSError)):
            plain.getresponse()
        plain.close()
        assert page.health()["alive"]
        assert "Traceback" not in page.log
