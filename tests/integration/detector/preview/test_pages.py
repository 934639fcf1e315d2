"""The live preview by HTTP: what it sends, and how many may watch."""

from __future__ import annotations

import http.client
import signal
import socket
import sys
from pathlib import Path

import pytest

from detector.preview.view import MAX_VIEWERS, Preview
from testing.clips.clips import decode
from testing.host.wait import until
from testing.services.preview import ADDRESSES, HEIGHT, WIDTH, Shown, Viewer, get
from testing.services.process import Service

STOP_FRAMES = signal.SIGUSR1


def test_a_viewer_gets_the_picture_its_marks_and_the_figures(page: Shown) -> None:
    with Viewer(page) as viewer:
        hello, _ = viewer.next("hello")
        facts, jpeg = viewer.next("frame")
    assert (hello["camera"], hello["device"], hello["min_face"]) == ("door", "jetson-1", 0.05)
    assert facts["size"] == [WIDTH, HEIGHT]
    assert set(facts["marks"][0]) == {"box", "track", "score", "quality", "confirmed", "sent"}
    assert facts["figures"]["capture_ms"] == 4.1
    picture = decode(jpeg)
    assert picture.shape == (540, 960, 3)


def test_the_faces_sent_are_shown_small_with_their_facts(page: Shown) -> None:
    with Viewer(page) as viewer:
        facts, jpeg = viewer.next("face")
    picture = decode(jpeg)
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


def test_the_last_viewer_to_leave_ends_what_it_costs(page: Shown) -> None:
    with Viewer(page) as one:
        one.next("frame")
        with Viewer(page) as other:
            other.next("frame")
            assert page.viewers() == 2
    until(lambda: page.viewers() == 0)


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
