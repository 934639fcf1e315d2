"""A real Docker Engine and Compose, and the base image, wherever the tests run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from testing.host.wait import until
from testing.services.process import ROOT

BASE = "debian:trixie-slim"
PARTS = ("broker", "detector", "forwarder", "processor", "gallery", "enroll")
DOCKERFILES = ("Dockerfile", "broker/Dockerfile")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def docker(*words: str, code: int | None = 0, timeout: float = 120, **env: str) -> str:
    """What `docker WORDS` prints, on both streams; fails if it ends with another code."""
    done = subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        env={**os.environ, **env},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert code is None or done.returncode == code, f"docker {' '.join(words)}:\n{done.stdout}"
    return done.stdout


@contextlib.contextmanager
def compose_at_hand() -> Iterator[None]:
    """The locked Compose as `docker compose`, whatever else this machine has."""
    with tempfile.TemporaryDirectory() as folder:
        plugins = Path(folder) / "cli-plugins"
        plugins.mkdir()
        (plugins / "docker-compose").symlink_to(Path(sys.executable).with_name("docker-compose"))
        before = os.environ.get("DOCKER_CONFIG")
        os.environ["DOCKER_CONFIG"] = folder
        try:
            yield
        finally:
            os.environ.pop("DOCKER_CONFIG")
            if before is not None:
                os.environ["DOCKER_CONFIG"] = before


def _answers() -> bool:
    command = ["docker", "info"]
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0


@contextlib.contextmanager
def engine() -> Iterator[None]:
    """The engine that runs here; else, as root, one that runs until the tests are over."""
    if _answers():
        yield
        return
    daemon = shutil.which("dockerd") or "/usr/sbin/dockerd"
    can = os.geteuid() == 0 and Path(daemon).exists()
    assert can, "the tests need a Docker Engine: install docker.io, or start yours"
    with tempfile.TemporaryFile() as log, subprocess.Popen([daemon], stdout=log, stderr=log) as run:
        try:
            until(lambda: _answers() or run.poll() is not None, 60, "dockerd answers")
            if run.poll() is not None:
                log.seek(0)
                raise AssertionError(f"dockerd ended: {log.read().decode()[-2000:]}")
            yield
        finally:
            run.terminate()


def have_base(base: str = BASE, *options: str) -> None:
    """Debian's image of the base; where no registry answers, the same made of its packages.

    `options` are for mmdebstrap.
    """
    if base in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        return
    with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
        docker("pull", base, timeout=300)
        return
    _make_base(base, *options)


def _make_base(base: str, *options: str) -> None:
    """Leaves out what Debian's own leaves out, and trusts whom this machine trusts.

    The latter is in a pip.conf, for the case that a proxy looks into TLS here.
    """
    assert shutil.which("mmdebstrap"), f"no registry gives {base}: the tests need mmdebstrap"
    trust = f"cp {AUTHORITIES} $1/etc/host-authorities.pem; "
    trust += r"printf '[global]\ncert = /etc/host-authorities.pem\n' > $1/etc/pip.conf"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", *options]
    command += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")]
    command += [f"--customize-hook={trust}", "trixie", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:
        take = ["docker", "import", "--change", 'CMD ["bash"]', "-", base]
        subprocess.run(take, check=True, stdin=made.stdout, stdout=subprocess.DEVNULL, timeout=1800)
    assert made.returncode == 0, "mmdebstrap failed"


def make_images() -> None:
    """All of them, as `make images` does; what has not changed since is not built again."""
    command = ["make", "--no-print-directory", "images"]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


def size(image: str) -> int:
    """Bytes, uncompressed, all layers."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))
