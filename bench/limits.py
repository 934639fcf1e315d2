"""What each container of both compose projects takes under its worst reasonable load.

Run: `make .venv/.containers`, then `.venv/bin/python -m bench.limits`; as root, or with a Docker
Engine that runs. All settings are at their defaults, and the limits are those of the compose files.
Memory is taken without the page cache of files, which the kernel takes back at need; with it, a
container that reads or writes files would look as large as its limit.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from bench.cgroups import Peak, Peaks
from bench.load import Flood, crowd
from bench.pipeline import scaled_up
from bench.report import Figure, tell
from testing.host.wait import until
from testing.services.enrolment import context
from testing.services.processor import DROPPED, IN_HAND
from testing.services.visitor import REF
from tests.containers import engine
from tests.containers.compose import Container
from tests.containers.stack import DEVICE, PASSWORD, USER, Stack

MEBI = 1024 * 1024
LARGE, USUAL, SMALL = 1900.0, 30.0, 2.0  # kilobytes a face
BUFFERED = "facepipe_forwarder_buffer_bytes"
FULL, EMPTY = 14e6, 1e5  # bytes, of the 16 MiB of the forwarder's buffer
OTHER = "jetson-2"
NEXT = re.compile(r'data-next="([^"]+)"')
ROOM = 1.5  # limit / peak, at least: the limits are twice the peaks, which differ between runs


@contextlib.contextmanager
def paused(container: Container) -> Iterator[None]:
    """It stands still, and whoever sends to it does not know."""
    engine.docker("pause", container.id)
    try:
        yield
    finally:
        engine.docker("unpause", container.id)


def enrolments(stack: Stack, peaks: Peaks, count: int) -> None:
    """One after the other, in one container."""
    loop = f"for i in $(seq {count}); do python3 -m enroll box-$i >/dev/null 2>&1 || exit; done"
    words = ["run", "--rm", "-T", "--entrypoint", "sh", "enroll", "-c", loop]
    with subprocess.Popen(["docker", *stack.cloud.command(), *words]) as run:
        container = until(lambda: stack.cloud.all("enroll"), 30, "it is there")[0]
        peaks.add("cloud enroll", until(lambda: container.pid, 30, "it runs"))
    assert run.returncode == 0


def outage(stack: Stack) -> None:
    """The camera goes on at 1080p while the link is cut, and while what waits is sent."""
    stack.cloud("stop", "broker")
    until(lambda: stack.books()["waiting"] > 200, 300, "faces wait")
    stack.cloud("start", "broker")
    until(lambda: stack.books()["waiting"] < 50, 300, "they are sent")


def backlog(stack: Stack, edge: Flood) -> None:
    """The edge broker's queue is full, since the forwarder stands still; then the forwarder's."""
    forwarder = stack.jetson.one("forwarder")
    stack.cloud("stop", "broker")
    for count, size in ((30, LARGE), (10_000, SMALL)):
        with paused(forwarder):
            edge.send(min(count, 1_500), size)
        edge.send(count, size)
        until(lambda: forwarder.metric(BUFFERED) > FULL, 60, "its buffer is full")
    stack.cloud("start", "broker")
    until(lambda: forwarder.metric(BUFFERED) < EMPTY, 120, "its buffer is empty")


def slow_store(stack: Stack, cloud: Flood) -> None:
    """The processor's hands are full, again and again, of large faces and then of small ones."""
    processor = stack.cloud.one("processor")
    for count, size in [(12, LARGE)] * 5 + [(8_000, SMALL)]:
        before = processor.metric(DROPPED)
        stack.store.signal(signal.SIGSTOP)
        try:
            cloud.send(count, size)
            until(lambda: processor.metric(DROPPED) > before, 60, "hands are full")  # noqa: B023
        finally:
            stack.store.signal(signal.SIGCONT)
        until(lambda: processor.metric(IN_HAND) < 3, 120, "all of it is stored")


def strangers(stack: Stack, cloud: Flood, bundle: Path) -> None:
    """A thousand connections, 100 faces a second, and then a processor that takes none."""
    with crowd(stack.port, context(bundle), 1000):
        cloud.send(2_000, USUAL, rate=100)
        with paused(stack.cloud.one("processor")):
            cloud.send(80, LARGE)


def visits(stack: Stack) -> None:
    """Sixteen look at once at all there is, thumbnails and originals, while more is stored."""
    visitor = stack.visitor()
    assert visitor.log_in(USER, PASSWORD) == 200
    refs: list[str] = []
    path = "/"
    while path and len(refs) < 3_000:
        page = visitor.open(path)[1].decode()
        refs += dict.fromkeys(REF.findall(page))
        more = NEXT.search(page)
        path = f"/more?{urlencode({'after': html.unescape(more[1])})}" if more else ""
    with ThreadPoolExecutor(16) as several:
        for kind in ("thumb", "image"):
            answers = several.map(visitor.open, [f"/{kind}/{ref}" for ref in refs])
            assert {status for status, _ in answers} <= {200, 404}


def measure(folder: Path, count: int) -> dict[str, Peak]:
    stack = Stack(folder)
    stack.jetson.env |= {"MEDIA_DIR": str(folder), "CAMERA_LOOP": "1"}
    stack.jetson.env["CAMERA"] = f"/media/{scaled_up(folder).name}"
    with stack, Peaks() as peaks:
        for side, project in (("jetson", stack.jetson), ("cloud", stack.cloud)):
            for container in project.all():
                peaks.add(f"{side} {container.service}", container.pid)
        bundle = stack.enrol(OTHER)
        broker = stack.jetson.one("broker")
        edge = Flood((broker.address, 1883), "faces", DEVICE)
        password = broker.exec("cat", "/secrets/detector/password").strip()
        edge.client.username_pw_set("detector", password)
        cloud = Flood(("localhost", stack.port), f"faces/from/{OTHER}", OTHER)
        cloud.client.tls_set_context(context(bundle))
        enrolments(stack, peaks, count)
        outage(stack)
        with edge:
            backlog(stack, edge)
        with cloud:
            slow_store(stack, cloud)
            strangers(stack, cloud, bundle)
            cloud.send(200, LARGE, rate=5)
        visits(stack)
    return peaks.peaks


def show(peaks: dict[str, Peak]) -> list[Figure]:
    """The table, and the room that the limits leave."""
    print(f"\n{'':<18}{'MiB held':>9}{'with cache':>11}{'limit':>7}{'pids':>9}{'limit':>7}")
    figures = []
    for name, peak in peaks.items():
        memory = f"{peak.held / MEBI:>9.1f}{peak.charged / MEBI:>11.1f}{peak.limit / MEBI:>7.0f}"
        print(f"{name:<18}{memory}{peak.pids:>9}{peak.pids_limit:>7}")
        for what, ratio in (
            ("memory", peak.limit / peak.held),
            ("pids", peak.pids_limit / peak.pids),
        ):
            figures.append(Figure(f"{name}: {what}, limit / peak", ratio, "", ROOM, "at least"))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--devices", type=int, default=100, help="enrolled one after the other")
    count = parser.parse_args().devices
    with (
        tempfile.TemporaryDirectory() as folder,
        engine.compose_at_hand(),
        engine.engine(),
    ):
        engine.have_base()
        engine.make_images()
        Path(folder).chmod(0o755)  # the containers' user reads there
        figures = show(measure(Path(folder), count))
    tell("limits", figures)
    return 0 if all(figure.holds is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
