"""Enrolment, the cloud broker with the project's own configuration, and clients that try it."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from cryptography import x509
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from common.mqtt import tls
from enroll import package
from enroll.authority import Authority
from testing.host.wait import free_port, listening, until
from testing.host.wallclock import inherited
from testing.mqtt.mosquitto import BINARY, build_limits, version
from testing.mqtt.received import Received
from testing.services.process import ROOT, Process

PLUGIN = "mosquitto_dynamic_security.so"
# The image links it to a path that is the same on each architecture.
LINKED, INSTALLED = f"/usr/lib/{PLUGIN}", sorted(Path("/usr/lib").glob(f"*/{PLUGIN}"))
TRUST = {"devices.crt": "ca.crt", "devices.crl": "crl.pem"}
TRUST |= {"services.crt": "ca.crt", "services.crl": "crl.pem"}
RELOADED = ("server.pem", "ca.crt", "crl.pem", *TRUST)


class Enrolment:
    """`python -m enroll` with folders of its own under `folder`."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.authority = folder / "authority"
        self.broker = folder / "identities" / "broker"
        self.processor = folder / "identities" / "processor"
        self.gallery = folder / "identities" / "gallery"
        self.folder = folder
        self.settings = {
            "PUBLIC_HOST": "vsi.example.com",
            "AUTHORITY_DIR": str(self.authority),
            "BROKER_IDENTITY_DIR": str(self.broker),
            "PROCESSOR_IDENTITY_DIR": str(self.processor),
            "GALLERY_IDENTITY_DIR": str(self.gallery),
            "BROKER_HOST": "broker.invalid",  # as the name of a container that is not there
        } | {name: str(value) for name, value in settings.items()}

    def start(
        self, *words: str, stdout: int | IO[str] = subprocess.PIPE, **settings: str
    ) -> subprocess.Popen[str]:
        return self._start(words, settings, stdout)

    def _start(
        self, words: Iterable[str], settings: Mapping[str, str], stdout: int | IO[str]
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "enroll", *words],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **inherited(), **self.settings, **settings},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, **settings: str) -> tuple[str, str]:
        """What it writes to stdout and says on stderr."""
        return self._run(words, settings, code)

    def _run(
        self, words: Iterable[str], settings: Mapping[str, str], code: int = 0
    ) -> tuple[str, str]:
        with self._start(words, settings, subprocess.PIPE) as process:
            out, said = process.communicate(timeout=100)
        assert process.returncode == code, said
        return out, said

    def enrol(self, name: str, **settings: str) -> Path:
        """The bundle out of what the device is given."""
        file = self.folder / f"{name}-{len(list(self.folder.glob('*.pem')))}.pem"
        file.write_text(unpack(self._run((name,), settings)[0])[package.BUNDLE])
        return file


def unpack(packed: str) -> dict[str, str]:
    """The files of a device's tar file, by name; all is ASCII."""
    with tarfile.open(fileobj=io.BytesIO(packed.encode("ascii"))) as tar:
        return {one.name: _read(tar, one) for one in tar if one.isfile()}


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = tar.extractfile(member)
    assert content is not None
    return content.read().decode("ascii")


class CloudBroker(Process):
    """Mosquitto with broker/cloud.conf on free ports, started and looked after as in its image.

    limits: other values of options of our plugin, by name, such as messages_per_second.
    """

    def __init__(self, identity: Path, **limits: int) -> None:
        self._limits = limits
        self.port, self.inner_port = free_port(), free_port()
        self._identity = identity
        self._run = identity.parent / f"run-{self.port}"
        self._gone = threading.Event()
        super().__init__([BINARY, "-c", str(self._run / "cloud.conf")])

    def _configuration(self) -> str:
        conf = (ROOT / "broker" / "cloud.conf").read_text()
        for written, here in {
            "/etc/facepipe": str(self._identity),
            "/run/facepipe": str(self._run),
            LINKED: str(INSTALLED[0]),
            "/usr/lib/facepipe_limits.so": str(build_limits()),
        }.items():
            assert written in conf
            conf = conf.replace(written, here)
        for inside, port in ((8883, self.port), (8884, self.inner_port)):
            conf, count = re.subn(
                rf"^listener {inside}$", f"listener {port} 127.0.0.1", conf, flags=re.MULTILINE
            )
            assert count == 1
        for name, limit in self._limits.items():
            conf, count = re.subn(rf"(?m)^(plugin_opt_{name}) .*$", rf"\1 {limit}", conf)
            assert count == 1
        return f"{conf}\nuser root\n"

    def start(self) -> None:
        self._run.mkdir(exist_ok=True)
        shutil.copy(self._identity / "access.json", self._run)
        self._copy_trust()
        (self._run / "cloud.conf").write_text(self._configuration())
        super().start()
        until(lambda: listening(self.inner_port), what="mosquitto listens")
        threading.Thread(target=self._watch, args=(self._seen(),), daemon=True).start()

    def _copy_trust(self) -> None:
        for name, before in TRUST.items():
            found = self._identity / name
            new = self._run / f"{name}.new"  # the broker may be reading the present one
            shutil.copy(found if found.exists() else self._identity / before, new)
            new.rename(self._run / name)

    def _seen(self) -> list[int]:
        files = [self._identity / name for name in RELOADED]
        return [file.stat().st_ino for file in files if file.exists()]

    def _watch(self, before: list[int]) -> None:
        """As the image's start script does."""
        while self.running and not self._gone.wait(0.2):
            now = self._seen()
            if now != before:
                self._copy_trust()
                self.signal(signal.SIGHUP)
            before = now

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._gone.set()
        super().__exit__(kind, error, trace)


class FilteredBroker(CloudBroker):
    """Its log is what broker/log.awk leaves of it; a flood's would fill the disk."""

    PIPE = 'rm -f "$1/log"; mkfifo "$1/log"; mawk -W interactive -f broker/log.awk <"$1/log" & '

    def __init__(self, identity: Path, **limits: int) -> None:
        super().__init__(identity, **limits)
        run = f'{self.PIPE}exec "{BINARY}" -c "$1/cloud.conf" 2>"$1/log"'
        self.command = ["sh", "-c", run, "sh", str(self._run)]

    def _configuration(self) -> str:
        """Without memory_limit where it ends everybody's connections after 800,000 faces.

        2.0.11 does not count that the properties of a message are freed.
        """
        conf = super()._configuration()
        return conf if version() > (2, 0, 11) else re.sub(r"(?m)^memory_limit .*$", "", conf)


class Peer:
    """An MQTT client that comes with a bundle, and keeps what it is told. Use in `with`."""

    def __init__(self, port: int, bundle: Path, client_id: str = "", tls13: bool = True) -> None:
        self.messages: list[Received] = []
        self.ended: list[ReasonCode] = []
        self._answer: list[ReasonCode] = []
        self._answered = threading.Event()
        self._up = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
        client.tls_set_context(context(bundle, tls13))
        client.on_connect = lambda _c, _u, _f, code, _p: None if code.is_failure else self._up.set()
        client.on_disconnect = lambda _c, _u, _f, code, _p: self.ended.append(code)
        client.on_message = lambda _c, _u, message: self.messages.append(Received.of(message))
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._take(codes[0])
        client.on_publish = lambda _c, _u, _m, code, _p: self._take(code)
        # It does not come back by itself.
        client.on_connect_fail = lambda *_: self.ended.append(ReasonCode(2, "Unspecified error"))
        client._reconnect_on_failure = False
        self._client, self._port = client, port

    def __enter__(self) -> Peer:
        self._client.connect("localhost", self._port, clean_start=True)
        self._client.loop_start()
        until(lambda: self._up.is_set() or self.ended, what="in or out")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_in(self) -> bool:
        return self._up.is_set() and not self.ended

    def may_publish(self, topic: str, payload: bytes = b"x", retain: bool = False) -> bool:
        self._client.publish(topic, payload, qos=1, retain=retain)
        return self._allowed()

    def may_subscribe(self, topic: str) -> bool:
        self._client.subscribe(topic, qos=1)
        return self._allowed()

    def send(self, topic: str, png: bytes, facts: dict[str, str]) -> None:
        """A face, as a detector publishes it."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "image/png"
        properties.ResponseTopic = f"faces/receipts/{facts['device']}"
        properties.CorrelationData = facts["id"].encode()
        properties.UserProperty = list(facts.items())
        self._client.publish(topic, png, properties=properties).wait_for_publish(10)

    def on(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]

    def _take(self, code: ReasonCode) -> None:
        self._answer.append(code)
        self._answered.set()

    def _allowed(self) -> bool:
        assert self._answered.wait(10), "no answer"
        self._answered.clear()
        code = self._answer.pop()
        assert not code.is_failure or code.getName() == "Not authorized", code
        return not code.is_failure


def context(bundle: Path, tls13: bool = True) -> ssl.SSLContext:
    made = tls.client_context(*tls.read_bundle(str(bundle)))
    if not tls13:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    return made


def refusal(port: int, bundle: Path) -> str:
    """Why the broker takes no TLS with this bundle, in OpenSSL's words; empty if it does."""
    try:
        with (
            socket.create_connection(("localhost", port), 5) as plain,
            context(bundle, tls13=False).wrap_socket(plain, server_hostname="localhost"),
        ):
            return ""
    except ssl.SSLError as error:
        return str(error.reason)


def openssl(*words: object) -> str:
    command = ["openssl", *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


@contextlib.contextmanager
def running(enrolment: Enrolment) -> Iterator[CloudBroker]:
    """The broker of an enrolment whose first use has been; its settings then name it."""
    with CloudBroker(enrolment.broker) as broker:
        enrolment.settings["BROKER_HOST"] = "localhost"
        enrolment.settings["BROKER_PORT"] = str(broker.inner_port)
        yield broker


def passing_bundle(enrolment: Enrolment, name: str) -> Path:
    """An identity at the inner listener, as enrolment makes one for itself."""
    authority = Authority(enrolment.authority, 3650)
    file = enrolment.folder / f"{name}.pem"
    file.write_text(authority.bundle(authority.issue_temporary(name)))
    return file


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())
