"""The live preview by HTTP: who may see it, what it sends, and what it costs."""

from __future__ import annotations

import base64
import http.client
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from common.http import server
from common.runtime import probe
from common.runtime.health import Health
from common.settings import SettingsError, read
from detector.preview.parts import Mark, verdicts
from detector.preview.view import FACES, MAX_VIEWERS, Preview
from detector.settings import DetectorSettings
from testing.host.wait import free_port, until
from testing.network.pki import Authority
from testing.services.preview import HEIGHT, WIDTH, Shown, Viewer
from testing.services.process import Service

STOP_FRAMES = signal.SIGUSR1
PASSWORD = "correct horse battery"
NAME = "jetson.example"
ADDRESSES = ("/", "/page.js", "/page.css", "/icon.svg")


@pytest.fixture
def page() -> Iterator[Shown]:
    with Shown() as shown:
        yield shown


@pytest.fixture
def guarded() -> Iterator[Shown]:
    """As in a container whose port is published on the host's loopback."""
    port = free_port()
    settings = {"HTTP_HOST": "0.0.0.0", "HTTP_PUBLISHED": "127.0.0.1", "METRICS_PORT": 0}
    settings |= {"HTTP_NAMES": NAME}
    with Shown(HTTP_PORT=port, PREVIEW_PASSWORD=PASSWORD, **settings) as shown:
        yield shown


def get(page: Shown, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(page.at.rpartition("/")[2], timeout=10)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


# --- what is shown


def test_a_viewer_gets_the_picture_its_marks_and_the_figures(page: Shown) -> None:
    with Viewer(page) as viewer:
        hello, _ = viewer.next("hello")
        facts, jpeg = viewer.next("frame")
    assert (hello["camera"], hello["device"], hello["min_face"]) == ("door", "jetson-1", 0.05)
    assert facts["size"] == [WIDTH, HEIGHT]
    assert set(facts["marks"][0]) == {"box", "track", "score", "quality", "confirmed", "sent"}
    assert facts["figures"]["capture_ms"] == 4.1
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (540, 960, 3)


def test_candidates_come_with_the_judges_verdict_and_faces_without() -> None:
    candidate = Mark((1, 2, 3, 4), 8, 0.6, 0.5, confirmed=False, sent=False, verdict="0.6 of 0.8")
    assert verdicts([mark(7), candidate]) == {"8": "0.6 of 0.8"}


def test_the_faces_sent_are_shown_small_with_their_facts(page: Shown) -> None:
    with Viewer(page) as viewer:
        facts, jpeg = viewer.next("face")
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape[:2]) == 160
    assert facts["facts"]["captured"] == "2026-03-01T10:42:07.123456Z"
    assert facts["png_bytes"] > len(jpeg)


def test_viewers_are_told_that_there_are_no_frames_and_why(page: Shown) -> None:
    with Viewer(page) as viewer:
        viewer.next("frame")
        page.signal(STOP_FRAMES)
        assert until(lambda: viewer.next("state")[0]["age"] > 2)
        assert viewer.next("state")[0]["reasons"] == {"camera": "silent"}


def test_health_and_metrics_stay_on_the_port_that_the_page_shares(page: Shown) -> None:
    assert page.at == page.url
    assert page.health()["service"] == "detector"
    assert page.viewers() == 0


def test_without_preview_there_is_no_page() -> None:
    with Shown(PREVIEW=0) as service:
        connection = http.client.HTTPConnection(service.url.rpartition("/")[2], timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 404
        connection.close()
        assert "preview on" not in service.log


# --- what it costs


def blank() -> Any:
    return np.zeros((90, 160, 3), np.uint8)


def mark(track: int, sent: bool = False) -> Mark:
    return Mark((1, 2, 3, 4), track, 9.0, 0.5, confirmed=True, sent=sent)


def frames(parts: Iterator[bytes]) -> Iterator[bytes]:
    return (part for part in parts if b'"kind": "frame"' in part)


def test_while_nobody_looks_no_picture_is_even_touched() -> None:
    preview = Preview(Health())
    assert not preview.watched
    preview.show(None, None, None)  # type: ignore[arg-type] # whatever looked at them would fail
    preview.show_face(b"no PNG", {})
    with preview.watch() as parts:
        assert preview.watched
        next(parts)
        assert b'"kind": "state"' in next(parts)  # and neither a picture nor a face before
    assert not preview.watched


def test_nothing_is_kept_for_the_next_viewer_after_the_last_has_left() -> None:
    preview = Preview(Health())
    png = cv2.imencode(".png", blank())[1].tobytes()
    with preview.watch() as parts:
        preview.show(blank(), [], {})
        preview.show_face(png, {})
        assert next(frames(parts))
    with preview.watch() as parts:
        assert [b'"kind": "state"' in part for part, _ in zip(parts, range(3), strict=False)] == [
            False,
            True,
            True,
        ]


def test_the_last_viewer_to_leave_ends_what_it_costs(page: Shown) -> None:
    with Viewer(page) as one:
        one.next("frame")
        with Viewer(page) as other:
            other.next("frame")
            assert page.viewers() == 2
    until(lambda: page.viewers() == 0)


def test_no_more_than_the_last_faces_are_kept() -> None:
    preview = Preview(Health())
    png = cv2.imencode(".png", blank())[1].tobytes()
    last = f'"track": "{3 * FACES - 1}"'.encode()

    def faces_until_the_last(parts: Iterator[bytes]) -> int:
        count = 0
        for part in parts:
            count += b'"kind": "face"' in part
            if last in part:
                return count
        raise AssertionError("the stream has ended")

    with preview.watch() as early:
        for number in range(3 * FACES):
            preview.show_face(png, {"track": str(number)})
        faces_until_the_last(early)
        with preview.watch() as late:
            assert 1 <= faces_until_the_last(late) <= FACES


def test_a_shot_sent_between_two_pictures_is_seen_in_the_next() -> None:
    preview = Preview(Health())
    with preview.watch() as parts:
        preview.show(blank(), [mark(7)], {})
        preview.show(blank(), [mark(7, sent=True)], {})  # too soon to be shown

        def flashes() -> bool:
            preview.show(blank(), [mark(7)], {})
            return b'"sent": true' in next(parts)

        assert until(flashes)


def test_figures_that_are_no_numbers_do_not_break_the_page() -> None:
    preview = Preview(Health())
    with preview.watch() as parts:
        preview.show(blank(), [], {"a": float("nan"), "b": float("inf"), "c": np.float32(1)})
        assert b'"figures": {"a": null, "b": null, "c": 1.0}' in next(frames(parts))


def test_one_viewer_too_many_is_told_so_and_gets_in_when_another_leaves(page: Shown) -> None:
    viewers = [Viewer(page) for _ in range(MAX_VIEWERS)]
    for viewer in viewers:
        viewer.next("frame")
    status, _, body = get(page, "/live")
    assert status == 503
    assert body.startswith(b"4 people are watching already")
    assert page.metric("facepipe_detector_preview_refused_total", reason="viewers") == 1
    viewers.pop().__exit__()
    until(lambda: page.viewers() == MAX_VIEWERS - 1)
    with Viewer(page) as late:
        late.next("frame")
    for viewer in viewers:
        viewer.__exit__()


def test_a_viewer_who_takes_nothing_is_let_go_and_holds_nobody_up(page: Shown) -> None:
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = page.at.rpartition("/")[2].split(":")
        stalled.connect((host, int(port)))
        stalled.sendall(b"GET /live HTTP/1.0\r\nHost: localhost\r\n\r\n")
        until(lambda: page.viewers() == 1)
        with Viewer(page) as viewer:
            for _ in range(10):
                viewer.next("frame")
        until(lambda: page.viewers() == 0, 30)


# --- who may see it


@pytest.mark.parametrize("path", ADDRESSES)
def test_all_that_is_answered_keeps_browsers_from_running_anything_else(
    page: Shown, path: str
) -> None:
    status, headers, _ = get(page, path)
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_the_page_is_small_and_needs_nothing_from_elsewhere() -> None:
    folder = Path(sys.modules[Preview.__module__].__file__ or "").parent
    files = [path for path in folder.iterdir() if path.name.startswith(("page.", "icon."))]
    assert len(files) == len(ADDRESSES)
    assert sum(path.stat().st_size for path in files) < 60_000
    for path in files:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
    assert "style=" not in (folder / "page.html").read_text()


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


# --- settings that would show it to anybody


def problems(**settings: object) -> list[str]:
    """What is wrong with these settings, beside a preview."""
    given = {"PREVIEW": "1", **{name: str(value) for name, value in settings.items()}}
    try:
        read(DetectorSettings, given)
    except SettingsError as error:
        return error.problems
    return []


def test_a_preview_for_others_needs_password_certificate_and_another_port_for_metrics() -> None:
    password, metrics, certificate = problems(HTTP_HOST="0.0.0.0")
    assert "PREVIEW_PASSWORD" in password
    assert "HTTP_HOST=127.0.0.1" in password
    assert "METRICS_PORT" in metrics
    assert "HTTP_CERT and HTTP_KEY" in certificate
    assert "HTTP_PUBLISHED=127.0.0.1" in certificate


@pytest.mark.parametrize("host", ["192.0.2.7", "::", "jetson.example", "::ffff:192.0.2.7"])
def test_whatever_is_not_loopback_counts_as_wide(host: str) -> None:
    assert len(problems(HTTP_HOST=host)) == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_on_loopback_it_needs_nothing_more(host: str) -> None:
    assert problems(HTTP_HOST=host) == []


def test_published_on_loopback_it_needs_a_password_and_no_certificate() -> None:
    settings = {"HTTP_HOST": "0.0.0.0", "HTTP_PUBLISHED": "127.0.0.1", "METRICS_PORT": 9111}
    assert problems(**settings, PREVIEW_PASSWORD=PASSWORD) == []
    assert len(problems(**settings)) == 1
    assert len(problems(**{**settings, "HTTP_PUBLISHED": "0.0.0.0"})) == 2


def test_settings_that_cannot_be_meant_are_named(tmp_path: Path) -> None:
    own, other = (Authority(tmp_path).issue("jetson-1") for _ in range(2))
    assert "8 characters" in problems(PREVIEW_PASSWORD="short")[0]
    assert "go together" in problems(HTTP_CERT=own.cert)[0]
    assert "needs METRICS_PORT" in problems(HTTP_CERT=own.cert, HTTP_KEY=own.key)[0]
    pair = {"HTTP_CERT": own.cert, "HTTP_KEY": other.key, "METRICS_PORT": 9111}
    assert "cannot be used" in problems(**pair)[0]
    own.key.write_text(own.encrypted_key_pem)
    assert "cannot be used" in problems(**{**pair, "HTTP_KEY": own.key})[0]
    assert "another port" in problems(HTTP_PORT=9101, METRICS_PORT=9101)[0]


def test_without_preview_its_settings_ask_for_nothing() -> None:
    assert problems(PREVIEW="0", HTTP_HOST="0.0.0.0", HTTP_PUBLISHED="192.0.2.7") == []


def test_the_detector_ends_with_2_and_says_what_is_missing() -> None:
    with Service("detector", PREVIEW=1, HTTP_HOST="0.0.0.0") as service:
        assert service.wait() == 2
        assert "needs PREVIEW_PASSWORD or PREVIEW_PASSWORD_FILE" in service.log
        assert "Traceback" not in service.log


@pytest.mark.parametrize("name", ["HTTP_PORT", "METRICS_PORT"])
def test_a_port_that_is_taken_ends_it_with_2_and_names_the_setting(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"HTTP_PORT": 0, "METRICS_PORT": 0, name: taken.getsockname()[1]}
        with Shown(**ports) as page:
            assert page.wait() == 2
            assert f"HTTP_HOST and {name}: cannot listen on 127.0.0.1" in page.log
