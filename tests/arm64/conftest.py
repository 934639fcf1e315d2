"""The detector's image for arm64, made once; emulation for as long as the tests last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from testing.services.process import ROOT
from tests.arm64.emulation import emulated
from tests.containers import engine

# Debian's name for its arm64 image: a pull by platform would put it in the place of the other.
BASE = "arm64v8/debian:trixie-slim"
IMAGE = "facepipe/detector:arm64"
STEP = re.compile(r"Step \d+|#\d+ \[")
BEGAN = time.monotonic()


def progress(line: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    print(f"  {minutes:2d}:{seconds:02d}  {line}", file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def arm64() -> Iterator[None]:
    """An engine that runs arm64, and the base."""
    with engine.engine(), emulated():
        progress(f"{BASE} (1 to 4 minutes if no registry has it)")
        # That arm64 runs is seen to already; mmdebstrap would want arch-test for it.
        engine.have_base(BASE, "--architecture=arm64", "--skip=check/qemu")
        yield


@pytest.fixture(scope="session")
def image(arm64: None) -> str:
    """Of the sources as they are here; what has not changed since is not built again."""
    command = ["docker", "build", "--build-arg=PART=detector", f"--tag={IMAGE}"]
    command += [f"--build-arg=BASE={BASE}", *_platform(), "."]
    progress(f"{IMAGE} (6 minutes if it is new)")
    env = {**os.environ, "BUILDKIT_PROGRESS": "plain"}
    if subprocess.run(["docker", "buildx", "version"], check=False, capture_output=True).returncode:
        env["DOCKER_BUILDKIT"] = "0"
    said = []
    with subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as build:
        assert build.stdout is not None
        for line in build.stdout:
            said.append(line)
            if STEP.match(line):
                progress(line.strip()[:90])
    assert build.returncode == 0, "".join(said[-50:])
    return IMAGE


def _platform() -> list[str]:
    """None where the engine takes what it imported for its own kind, as Docker 20.10 does."""
    kind = engine.docker("image", "inspect", "--format={{.Architecture}}", BASE).strip()
    return ["--platform=linux/arm64"] if kind == "arm64" else []
