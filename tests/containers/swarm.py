"""The server on a Docker Swarm of this one machine, and a device that sends to it."""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from gallery.auth import passwords
from testing.host.wait import free_port, until
from testing.mqtt.received import Received
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services import enrolment
from testing.services.process import ROOT
from testing.store.nanio import BUCKET, KEY_ID, SECRET
from tests.containers.compose import Container, Project
from tests.containers.engine import docker
from tests.containers.stack import DEVICE, OpenStore

NETWORK = "facepipe-test-swarm"
FILE = ROOT / "deploy" / "swarm" / "compose.yml"
REPLICAS = 3


class Swarm(Project):
    """Use in `with`: set up as docs/scaling.md says, and taken apart again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.store = OpenStore(folder)
        super().__init__(
            "cloud",
            folder,
            {},
            PUBLIC_HOST="localhost,127.0.0.1",
            PUBLIC_PORT=str(self.port),
            COS_ENDPOINT="http://not.known.yet",
            COS_BUCKET=BUCKET,
            COS_ACCESS_KEY_ID_FILE=self.given("key-id", KEY_ID),
            COS_SECRET_ACCESS_KEY_FILE=self.given("secret", SECRET),
            GALLERY_USERS_FILE=self.given(
                "users", f"anna:admin:{passwords.hash_password('x' * 20)}\n"
            ),
            PROCESSOR_IDENTITY=str(folder / "processor.pem"),
            PROCESSORS=str(REPLICAS),
            SWARM_NETWORK=NETWORK,
        )
        self.name = "facepipe-test-swarm"

    def given(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content)
        path.chmod(0o644)
        return str(path)

    def command(self) -> list[str]:
        return [*super().command(), "--file", str(FILE)]

    def __enter__(self) -> Swarm:
        assert "inactive" in docker("info", "--format", "{{.Swarm.LocalNodeState}}"), "in use here"
        self.store.__enter__()
        try:
            self._up()
        except BaseException:
            self.show()
            self.__exit__(None, None, None)
            raise
        return self

    def _up(self) -> None:
        self._clear()
        docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
        node = docker("node", "ls", "--quiet").strip()
        docker("node", "update", "--label-add", "facepipe=home", node)
        docker("network", "create", "--driver", "overlay", "--attachable", NETWORK)
        self.bundle = Path(self.given(f"{DEVICE}.pem", self.enroll("--pem", DEVICE)[0]))
        words = ("run", "--rm", "-T", "--entrypoint", "cat", "enroll")
        identity = self("--progress", "quiet", *words, "/identities/processor/processor.pem")
        self.given("processor.pem", identity[identity.index("-----BEGIN") :])
        self.env["COS_ENDPOINT"] = f"http://{_this_machine()}:{self.store.port}"
        self.deploy()
        for service, count in (("broker", 1), ("processor", REPLICAS), ("gallery", 1)):
            self.becomes(service, count)

    def deploy(self) -> None:
        """The three commands of the manual, in a row."""
        config = subprocess.run(
            ["docker", *self.command(), "config", "--format", "json"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        made = subprocess.run(
            [sys.executable, str(ROOT / "deploy" / "swarm" / "stack.py")],
            input=config,
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert b"cannot publish gallery on 127.0.0.1" in made.stderr
        path = self.folder / "stack.json"
        path.write_bytes(made.stdout)
        docker("stack", "deploy", "--compose-file", str(path), self.name)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        if kind is not None:
            self.show()
        self._clear()
        self.store.__exit__(None, None, None)

    def _clear(self) -> None:
        docker("stack", "rm", self.name, code=None)
        until(lambda: not self.tasks(), 60, "all tasks have ended")
        docker("swarm", "leave", "--force", code=None)
        self.down()
        until(lambda: docker("network", "rm", NETWORK, code=None), 30)
        docker("network", "rm", "docker_gwbridge", code=None)
        volumes = docker("volume", "ls", "--quiet", "--filter", f"name={self.name}_").split()
        for volume in volumes:
            until(partial(_is_removed, volume), 30)

    def down(self) -> None:
        self("--profile", "*", "down", "--timeout", "5", code=None)

    def show(self) -> None:
        print(docker("stack", "ps", "--no-trunc", self.name, code=None), file=sys.stderr)
        for service in ("broker", "processor", "gallery"):
            print(docker("service", "logs", f"{self.name}_{service}", code=None), file=sys.stderr)

    def tasks(self, service: str = "") -> list[Container]:
        """The containers that run, of a service or of all."""
        label = f"com.docker.swarm.service.name={self.name}_{service}"
        if not service:
            label = f"com.docker.stack.namespace={self.name}"
        found = docker("ps", "--quiet", "--filter", f"label={label}", code=None).split()
        return [Container(id, service) for id in found if len(id) == 12]

    def becomes(self, service: str, count: int, seconds: float = 120.0) -> None:
        def well() -> bool:
            found = docker("ps", "--format", "{{.Names}} {{.Status}}")
            lines = [one for one in found.splitlines() if f"{self.name}_{service}." in one]
            return sum("(healthy)" in line for line in lines) == len(lines) == count

        until(well, seconds, f"{count} of {service} are healthy")


def _is_removed(volume: str) -> bool:
    return "Error" not in docker("volume", "rm", volume, code=None)


def _this_machine() -> str:
    """As containers know it: Swarm has no `host-gateway`."""
    look = ("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    found = until(
        lambda: re.match(r"[0-9.]+$", docker(*look, "docker_gwbridge", code=None).strip()),
        30,
        "docker_gwbridge is there",
    )
    return found[0]


def kill(container: Container) -> None:
    """As a crash would."""
    os.kill(container.pid, signal.SIGKILL)


def stored_by(container: Container) -> int:
    """How many faces a processor has stored, by its own metrics."""
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9103/metrics').read())"
    found = re.search(r"faces_stored_total (\d+)", container.exec("python3", "-c", ask))
    assert found
    return int(found[1])


class Device(Sender):
    """Sends faces all the time, each until its receipt comes, as a detector does."""

    RATE = 20.0  # faces a second
    AGAIN_AFTER = 3.0  # seconds

    def __init__(self, port: int, bundle: Path) -> None:
        self.device = DEVICE
        self.port = port
        self.sent: dict[str, bytes] = {}
        self.again = 0
        self._waiting: dict[str, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)
        topic = f"faces/receipts/{DEVICE}"
        super(Sender, self).__init__(port, topic, tls=enrolment.context(bundle))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *words: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        super().__exit__(*words)

    def take(self, message: Received) -> None:
        receipt = json.loads(message.payload)
        assert receipt["outcome"] == "stored", receipt
        self._waiting.pop(receipt["id"], None)

    def _send(self) -> None:
        for number in itertools.count():
            if self._over.wait(1 / self.RATE):
                return
            id = f"{number:08d}{secrets.token_hex(8)}"
            self.sent[id] = png(seed=number)
            self._publish(id)
            for late in self._late():
                self.again += 1
                self._publish(late)

    def _late(self) -> list[str]:
        now = time.monotonic()
        return [id for id, at in [*self._waiting.items()] if now - at > self.AGAIN_AFTER]

    def _publish(self, id: str) -> None:
        self._waiting[id] = time.monotonic()
        self.send(self.sent[id], id, topic=f"faces/from/{DEVICE}")

    def goes_on(self, count: int = 40) -> None:
        """So many more faces are stored."""
        goal = self.answered + count
        until(lambda: self.answered >= goal, 60, f"{count} more receipts")

    @property
    def answered(self) -> int:
        return len(self.sent) - len(self._waiting)

    def settles(self) -> None:
        """No new faces; wait until each has its receipt."""
        self._over.set()
        self._thread.join()

        def done() -> bool:
            for late in self._late():
                self.again += 1
                self._publish(late)
            return not self._waiting

        until(done, 90, "each face has its receipt")
