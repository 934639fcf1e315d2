"""The detector's image alone: its page, and the processors that it takes."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.services.process import ROOT
from tests.containers.engine import docker

PASSWORD = "eight signs or more"

pytestmark = pytest.mark.usefixtures("images")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    """Where the preview of a detector is, as docker-compose.preview.yml publishes it."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o444)
    settings = {
        "DEVICE": "box-1",
        "CAMERA": "/media/clip.mp4",
        "CAMERA_LOOP": "1",
        "PREVIEW": "1",
        "PREVIEW_PASSWORD_FILE": "/run/password",
        "HTTP_PUBLISHED": "127.0.0.1",
    }
    container = docker(
        "run",
        "--detach",
        "--read-only",
        "--cap-drop=ALL",
        "--publish=127.0.0.1::9111",
        f"--volume={ROOT / 'demo'}:/media:ro",
        f"--volume={secret}:/run/password:ro",
        *(f"--env={name}={value}" for name, value in settings.items()),
        "facepipe/detector",
    ).strip()
    try:
        yield f"http://{docker('port', container, '9111/tcp').splitlines()[0]}/"
    finally:
        print(docker("logs", container))
        docker("rm", "--force", container)


def status(url: str, password: str) -> int:
    """The answer's code; 0 while there is none."""
    request = urllib.request.Request(url)
    login = base64.b64encode(f"me:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_preview_is_published_on_the_hosts_loopback_with_its_password(page: str) -> None:
    assert page.startswith("http://127.0.0.1:")
    until(lambda: status(page, PASSWORD) == 200, 60, "the page answers")
    assert status(page, "wrong") == 401


def test_it_takes_the_processors_that_the_container_has() -> None:
    ask = "from common.runtime import cpus; print(cpus.count_cpus())"
    run = ("run", "--rm", "--cpus=1", "--entrypoint=python3", "facepipe/detector", "-c", ask)
    assert docker(*run).strip() == "1"


def test_it_has_both_engines() -> None:
    ask = (
        "from detector.detection import model_files, yunet;"
        " print(yunet.is_model(model_files.find_yunet()))"
    )
    run = ("run", "--rm", "--entrypoint=python3", "facepipe/detector", "-c", ask)
    assert docker(*run).strip() == "True"
