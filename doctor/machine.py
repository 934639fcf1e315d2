"""Checks of the machine itself: Docker, the clock, the disk."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import email.utils
import http.client
import re
import shutil
import tempfile
import time
import urllib.parse
from pathlib import Path

from doctor.check import Finding, fail, ok, skip, warn

DOCKER_NEEDED, COMPOSE_NEEDED = (20, 10, 10), (2, 5)
CLOCK_WARNING, CLOCK_FAILED = 60.0, 3600.0  # seconds that the clock may be off
_UNSYNCHRONIZED = 5  # TIME_ERROR of adjtimex(2)
_TRIAL = 64 * 1024  # bytes written to see whether a disk takes them
_MEGABYTE = 1024 * 1024


async def check_docker() -> Finding:
    """Whether Docker and Compose are recent enough. Inside a container they cannot be seen."""
    if not shutil.which("docker"):
        return skip(
            "Docker cannot be seen from here: `docker version` and `docker compose version` must"
            f" say {_dotted(DOCKER_NEEDED)} and {_dotted(COMPOSE_NEEDED)} at least"
        )
    docker = await _version("docker", "version", "--format", "{{.Server.Version}}")
    compose = await _version("docker", "compose", "version", "--short")
    if not docker:
        return warn(
            "the Docker Engine does not answer",
            "if you use containers, start it: sudo systemctl start docker",
        )
    if not compose:
        return warn(
            "Docker has no Compose",
            "if you use containers, install the package docker-compose-plugin",
        )
    said = f"Docker {_dotted(docker)}, Compose {_dotted(compose)}"
    if docker < DOCKER_NEEDED or compose < COMPOSE_NEEDED:
        needed = f"{_dotted(DOCKER_NEEDED)} and {_dotted(COMPOSE_NEEDED)}"
        return fail(f"{said}: {needed} are needed at least", "update them: docs/jetson.md#docker")
    return ok(said)


async def _version(*command: str) -> tuple[int, ...]:
    """What a command prints as a version; empty if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    found = re.search(rb"\d+(\.\d+)+", out)
    return tuple(map(int, found[0].split(b"."))) if found and not process.returncode else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


async def check_disk(folder: str, what: str, needed_mb: int) -> Finding:
    """Whether `folder`, which is there for `what`, can be written and has room for `needed_mb`."""
    return await asyncio.to_thread(_check_disk, Path(folder), what, needed_mb)


def _check_disk(folder: Path, what: str, needed_mb: int) -> Finding:
    try:
        free = shutil.disk_usage(folder).free // _MEGABYTE
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIAL))
            file.flush()
    except OSError as error:
        return fail(
            f"{what} in {folder} cannot be written: {error.strerror}",
            "free some space, or look at the rights of the folder: its owner must be user 10001",
            "disk",
        )
    kind = _file_system(folder)
    if kind in ("tmpfs", "ramfs"):
        return warn(
            f"{what} is in memory ({folder} is a {kind}): it is lost when this machine restarts",
            "put it on a disk, unless you chose this: docs/jetson.md#sd-card",
        )
    if free < needed_mb:
        return warn(
            f"{what} in {folder} has {free} MB left on its disk, and may need {needed_mb} MB",
            "free some space, or lower OUTBOX_MAX_MB or THUMBS_MAX_MB",
        )
    return ok(f"{what} in {folder}: {free} MB free, {kind}")


def _file_system(folder: Path) -> str:
    """The kind of the file system that holds a folder, by /proc/mounts."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mounted, found, *_ = line.split()
        if folder.resolve().is_relative_to(mounted) and len(mounted) >= len(best):
            best, kind = mounted, found
    return kind


async def check_clock_of(endpoint: str) -> Finding:
    """This machine's clock beside that of an HTTP server (Date: RFC 9110, section 6.6.1)."""
    try:
        theirs = await asyncio.to_thread(_ask_date, endpoint)
    except (OSError, http.client.HTTPException) as error:
        return skip(f"the endpoint does not tell the time: {error}")
    if theirs is None:
        return skip("the endpoint does not tell the time")
    return judge_clock(time.time() - theirs, "the bucket's")


def _ask_date(endpoint: str) -> float | None:
    parts = urllib.parse.urlsplit(endpoint)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
    return email.utils.parsedate_to_datetime(date).timestamp() if date else None


def judge_clock(seconds: float, whose: str) -> Finding:
    """seconds: by which this machine's clock is ahead of `whose` clock."""
    off = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} {whose}"
    remedy = "turn on time synchronization: sudo timedatectl set-ntp true"
    if abs(seconds) >= CLOCK_FAILED:
        return fail(f"the clock is {off}", remedy, "clock")
    if abs(seconds) >= CLOCK_WARNING:
        return warn(f"the clock is {off}", remedy, "clock")
    return ok(f"within {max(1, round(abs(seconds)))} s of {whose} clock")


async def check_synchronized() -> Finding:
    """Whether the kernel's clock is kept in step with a time server: adjtimex(2)."""
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    if state == _UNSYNCHRONIZED:
        return warn(
            "no time server keeps the clock in step",
            "turn on time synchronization: sudo timedatectl set-ntp true",
            "clock",
        )
    return skip("the kernel does not say") if state < 0 else ok("kept in step by a time server")
