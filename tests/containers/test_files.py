"""The files that people start from: what linters, Compose and a reader of .env find."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testing.services.process import ROOT
from tests.containers.engine import DOCKERFILES, docker

SIDES = ("jetson", "cloud")
# The compose files that read a side's .env.
FILES = {
    "jetson": (
        "docker-compose.jetson.yml",
        "docker-compose.preview.yml",
        "docker-compose.webcams.yml",
        "docker-compose.homeassistant.yml",
        "docker-compose.csi.yml",
        "docker-compose.monitoring.yml",
    ),
    "cloud": ("docker-compose.cloud.yml", "docker-compose.monitoring.yml"),
}
# The least that a person fills in, by side; and what Compose is told when it is not there.
NEEDED = {
    "jetson": {
        "HOMEASSISTANT_BIND": "192.0.2.7",
        "GRAFANA_PASSWORD_FILE": "./grafana-password",
    },
    "cloud": {
        "PUBLIC_HOST": "vsi.example.com",
        "COS_ENDPOINT": "https://s3.example.com",
        "COS_BUCKET": "faces",
        "GRAFANA_PASSWORD_FILE": "./grafana-password",
    },
}

pytestmark = pytest.mark.usefixtures("docker")


def config(side: str, folder: Path, missing: str = "", code: int = 0) -> str:
    """`docker compose config` with the example, and what it leaves to be filled in, but for one."""
    text = (ROOT / f".env.{side}.example").read_text()
    given = NEEDED[side] | ({missing: ""} if missing else {})
    (folder / "env").write_text(text + "".join(f"{name}={given[name]}\n" for name in given))
    files = [word for name in FILES[side] for word in ("--file", name)]
    return docker(
        "compose", "--env-file", str(folder / "env"), *files, "config", "--quiet", code=code
    )


def _text(side: str) -> str:
    return "".join((ROOT / name).read_text() for name in FILES[side])


@pytest.mark.parametrize("side", SIDES)
def test_compose_has_nothing_to_say(side: str, tmp_path: Path) -> None:
    assert config(side, tmp_path) == ""


@pytest.mark.parametrize(
    ("side", "name"), [(side, name) for side in SIDES for name in NEEDED[side]]
)
def test_a_missing_setting_stops_it_with_a_sentence(side: str, name: str, tmp_path: Path) -> None:
    said = config(side, tmp_path, missing=name, code=1)
    assert re.search(rf"variable {name} is missing a value: set .*in \.env", said), said
    lines = [line for line in said.splitlines() if line]
    assert all(name in line for line in lines), said


@pytest.mark.parametrize("side", SIDES)
def test_older_compose_takes_it_too(side: str) -> None:
    """2.33 looks at what is required inside a default even where it takes no default."""
    compose = _text(side)
    assert not re.search(r"\$\{[^}]*\$\{[^}]*:\?", compose)


def test_linters_have_nothing_to_say() -> None:
    linter = str(Path(sys.executable).with_name("hadolint"))
    assert shutil.which("shellcheck"), "the tests need shellcheck"
    for command in ([linter, *DOCKERFILES], ["shellcheck", "broker/start", "broker/healthy"]):
        done = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
