"""The parts of the demo, each a separate process, started as a person would start it."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from demo import login
from demo.link import Link
from demo.login import Login

ROOT = Path(__file__).parents[1]
BUCKET = "faces"
DEVICE = "demo"
READY_WITHIN = 30.0  # seconds for a part to answer
STOP_WITHIN = 8.0

_BROKER = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 8388608
max_segment_count = 4
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 4194304
max_inflight_count = 500
"""


class DemoError(Exception):
    """The demo cannot continue; the text says why, and where to look."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclasses.dataclass
class Part:
    """One running process and its log file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raises DemoError when it has ended."""
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").splitlines()
            said = [line for line in lines if line.startswith(f"{self.name}: ")] or lines[-3:]
            why = "\n".join(said)
            raise DemoError(f"the {self.name} exited with code {code} ({self.log}):\n{why}")


class Stack:
    """Use in `with`: two brokers, a store, and the services; nothing is left running."""

    def __init__(
        self, data: Path, camera: str, capture: str, once: bool, gallery: bool = False
    ) -> None:
        self.login: Login | None = None  # to the gallery, once it is started
        self.bucket = data / BUCKET
        self.logs = data / ".logs"
        # Played once, a run counts its own faces; else what waited for a receipt goes on waiting.
        self.outbox = data / ".outbox" / (f"once-{os.getpid()}" if once else "camera")
        self._data = data
        self._camera = camera
        self._capture = capture
        self._once = once
        self._gallery = gallery
        self._parts: list[Part] = []
        self.credentials = "demo", secrets.token_hex(16)
        self.ports = {
            name: free_port()
            for name in (
                *("edge", "cloud", "link", "store", "detector", "forwarder", "processor"),
                *("gallery", "gallery's health"),
            )
        }

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.bucket.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self._lock = (self.logs / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo uses {self._data}: choose another --data") from None
        for side in ("edge", "cloud"):
            config = self.logs / f"{side}-broker.toml"
            config.write_text(_BROKER.format(port=self.ports[side]))
            # Its log would have a line per packet; a broker that fails to start says so anyway.
            command = [sys.executable, "-m", "iotcore", "--log-level", "CRITICAL"]
            self._run(f"{side} broker", [*command, "--config", str(config)], {})
        self.link = Link(self.ports["link"], self.ports["cloud"])
        # Killed while it writes, nanio leaves these behind, and then refuses that key for ever.
        for left in self.bucket.rglob("*.tmp"):
            left.unlink()
        key_id, secret = self.credentials
        self._run(
            "store",
            [str(Path(sys.executable).with_name("nanio")), "serve", "--data-dir", str(self._data)]
            + ["--host", "127.0.0.1", "--port", str(self.ports["store"])]
            + ["--no-access-log", "--log-level", "warning"],
            {"NANIO_ACCESS_KEY": key_id, "NANIO_SECRET_KEY": secret},
        )
        for name in ("edge", "cloud", "store"):
            self.wait_for(name)
        cloud: dict[str, object] = {
            "MQTT_PORT": self.ports["cloud"],
            "COS_ENDPOINT": f"http://127.0.0.1:{self.ports['store']}",
            "COS_BUCKET": BUCKET,
            "COS_ACCESS_KEY_ID": key_id,
            "COS_SECRET_ACCESS_KEY": secret,
        }
        self._service("processor", **cloud)
        if self._gallery:
            self.login = login.load_or_create(self._data / ".gallery-login.json")
            self._service(
                "gallery",
                **cloud,
                METRICS_PORT=self.ports["gallery's health"],
                GALLERY_DATA=self._data / ".gallery",
                GALLERY_USERS=self.login.line,
            )
        self._service(
            "forwarder",
            DEVICE=DEVICE,
            MQTT_PORT=self.ports["edge"],
            CLOUD_HOST="127.0.0.1",
            CLOUD_PORT=self.ports["link"],
        )

    def start_detector(self) -> Part:
        """Last, when who counts what arrives is listening."""
        loop = {} if self._once else {"CAMERA_LOOP": 1}
        return self._service(
            "detector",
            DEVICE=DEVICE,
            MQTT_PORT=self.ports["edge"],
            CAMERA=self._camera,
            CAMERA_END="idle",
            CAPTURE=self._capture,
            PREVIEW=1,
            DELIVERY="receipt",
            OUTBOX_PATH=self.outbox,
            **loop,
        )

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the three services that were started."""
        services = ("detector", "forwarder", "processor")
        return {part.name: part.process.pid for part in self._parts if part.name in services}

    def _service(self, name: str, **settings: object) -> Part:
        env = {"HTTP_PORT": str(self.ports[name])}
        env |= {key: str(value) for key, value in settings.items()}
        return self._run(name, [sys.executable, "-m", name], env)

    def _run(self, name: str, command: list[str], env: dict[str, str]) -> Part:
        log = self.logs / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=_bare_environment() | env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the demo, which then stops its parts in order.
                start_new_session=True,
            )
        part = Part(name, process, log)
        self._parts.append(part)
        return part

    def wait_for(self, name: str) -> None:
        """Raises DemoError when a part does not answer."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self.check()
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.ports[name])) == 0:
                    return
            time.sleep(0.05)
        raise DemoError(f"the {name} did not answer within {READY_WITHIN:.0f} s; see {self.logs}")

    def check(self) -> None:
        """Raises DemoError when a part has ended that should be running."""
        for part in self._parts:
            part.check()

    def __exit__(self, *_: object) -> None:
        """Stop the last one first, the camera's, so that what is on its way arrives."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave parts running
        for part in reversed(self._parts):
            if part.process.poll() is None:
                part.process.send_signal(signal.SIGTERM)
                try:
                    part.process.wait(STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    part.process.kill()
                    part.process.wait()


def _bare_environment() -> dict[str, str]:
    """What is set for other installations on this machine must not reach the demo's services."""
    keep = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")
    return {name: os.environ[name] for name in keep if name in os.environ}
