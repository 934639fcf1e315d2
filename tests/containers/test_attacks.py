"""What strangers and false friends do to the cloud broker, from outside, through its one port."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from enroll import certificates
from testing.host.wait import until
from testing.pictures import png
from testing.services.enrolment import Peer, context
from tests.containers.stack import DEVICE, Stack

pytestmark = pytest.mark.attack

OTHER = "jetson-2"
CONNECTIONS = "facepipe_mqtt_connections_total"
MEBI = 1024 * 1024
CONNECT = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03bad"  # MQTT 5, clean start


@pytest.fixture(scope="module")
def bundle(stack: Stack) -> Path:
    """Of another device: properly enrolled, up to no good."""
    return stack.enrol(OTHER)


@pytest.fixture
def other(stack: Stack, bundle: Path) -> Iterator[Peer]:
    with Peer(stack.port, bundle) as peer:
        assert peer.is_in
        yield peer


@contextlib.contextmanager
def told(stack: Stack, pattern: str) -> Iterator[None]:
    """The broker's log shows why, anew."""
    broker = stack.cloud.one("broker")

    def lines() -> int:
        return len(re.findall(pattern, broker.log))

    before = lines()
    yield
    until(lambda: lines() > before, 10, f"the broker's log says {pattern!r}")


def answer(stack: Stack, tls: ssl.SSLContext) -> bytes:
    """What the broker says to a CONNECT over this TLS.

    Raises:
        ssl.SSLError, ConnectionError: it ended the connection instead.
    """
    with (
        socket.create_connection(("localhost", stack.port), 10) as plain,
        tls.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(CONNECT)
        return sock.recv(1000)


def refused(stack: Stack, tls: ssl.SSLContext) -> None:
    """An orderly end without a word is a refusal, too."""
    try:
        said = answer(stack, tls)
    except (ssl.SSLError, ConnectionError):
        return
    assert said == b"", said


def trusting(bundle: Path) -> ssl.SSLContext:
    """Trusts the broker, and has nothing to show."""
    made = ssl.create_default_context(cafile=str(bundle))
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def showing(bundle: Path, identity: str, folder: Path) -> ssl.SSLContext:
    made, file = trusting(bundle), folder / "shown.pem"
    file.write_text(identity)
    made.load_cert_chain(file)
    return made


def test_no_certificate(stack: Stack, bundle: Path) -> None:
    with told(stack, "peer did not return a certificate"):
        refused(stack, trusting(bundle))


def test_a_certificate_of_another_authority(stack: Stack, bundle: Path, tmp_path: Path) -> None:
    elsewhere = certificates.authority(
        ec.generate_private_key(ec.SECP256R1()), 30, "facepipe devices"
    )
    forged = certificates.issue(elsewhere, DEVICE, datetime.timedelta(days=1))
    with told(stack, "certificate verify failed"):
        refused(stack, showing(bundle, forged.pem, tmp_path))


MINT_EXPIRED = """
import datetime, pathlib
from enroll import certificates
from enroll.authority import Authority
long_ago = certificates.now() - datetime.timedelta(days=2)
life = datetime.timedelta(days=1)
own = Authority(pathlib.Path("/authority"), 3650).devices.identity
print(certificates.issue(own, "jetson-2", life, at=long_ago).pem)
"""


def test_an_expired_certificate(stack: Stack, bundle: Path, tmp_path: Path) -> None:
    words = ("--entrypoint", "python3", "enroll", "-c", MINT_EXPIRED)
    minted = stack.cloud("--progress", "quiet", "run", "--rm", "-T", *words)
    expired = minted[minted.index("-----BEGIN") :]
    with told(stack, "certificate verify failed"):
        refused(stack, showing(bundle, expired, tmp_path))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_1_1(stack: Stack, bundle: Path) -> None:
    tls = context(bundle)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    tls.minimum_version = ssl.TLSVersion.TLSv1_1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with told(stack, "unsupported protocol"):
        refused(stack, tls)


def test_mqtt_without_tls(stack: Stack) -> None:
    why = "SSL routines::(?:wrong version number|packet length too long|http request)"
    with (
        told(stack, why),
        socket.create_connection(("localhost", stack.port), 10) as plain,
        contextlib.suppress(ConnectionError),
    ):
        plain.sendall(CONNECT)
        assert not plain.recv(1000).startswith(b"\x20"), "a CONNACK"


@pytest.mark.parametrize(
    "topic",
    [
        f"faces/from/{DEVICE}",
        "faces",
        f"faces/status/{DEVICE}/forwarder/{DEVICE}",
        f"faces/receipts/{DEVICE}",
        "faces/stored",
        "$CONTROL/dynamic-security/v1",
    ],
)
def test_publishing_what_is_not_ones_own(stack: Stack, other: Peer, topic: str) -> None:
    with told(stack, rf"Denied PUBLISH from {OTHER} \(.*'{re.escape(topic)}'"):
        assert not other.may_publish(topic, png())
    assert other.may_publish(f"faces/status/{OTHER}/forwarder/x", b"")  # it may its own


@pytest.mark.parametrize(
    "topic",
    [
        "faces/#",
        f"faces/receipts/{DEVICE}",
        "faces/receipts/+",
        "faces/stored",
        "faces/status/#",
        "#",
        "+/#",
        "$SYS/#",
        "$share/processors/faces",
        "$share/processors/faces/from/+",
        "$share/x/faces/#",
        "$CONTROL/#",
    ],
)
def test_reading_what_is_not_for_one(stack: Stack, other: Peer, topic: str) -> None:
    with told(stack, rf"Denied SUBSCRIBE from {OTHER} to {re.escape(topic)}\n"):
        assert not other.may_subscribe(topic)
    assert other.may_subscribe(f"faces/receipts/{OTHER}")


PUBLISH = """
import sys
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from common.mqtt import tls
mqtt = Client(CallbackAPIVersion.VERSION2, "gallery-thief", protocol=MQTTv5)
mqtt.tls_set_context(tls.client_context(*tls.read_bundle("/etc/facepipe/gallery.pem")))
topics, codes = sys.argv[1:], []
def send():
    if len(codes) < len(topics):
        mqtt.publish(topics[len(codes)], b"x", qos=1)
    else:
        mqtt.disconnect()
mqtt.on_connect = lambda *_: send()
def told(_client, _data, _number, code, _properties):
    codes.append(code.getName())
    send()
mqtt.on_publish = told
mqtt.connect("broker", 8884)
mqtt.loop_forever()
print("\\n".join(codes))
"""


def test_who_has_taken_over_the_gallery_speaks_for_nobody_else(stack: Stack) -> None:
    gallery = stack.cloud.one("gallery")
    topics = ["faces", f"faces/from/{DEVICE}", f"faces/receipts/{DEVICE}", "faces/stored"]
    topics += [f"faces/status/{DEVICE}/detector/camera-0", "faces/status/cloud/processor/x"]
    topics += ["$CONTROL/dynamic-security/v1"]
    with told(stack, r"Denied PUBLISH from gallery-thief \(.*'faces'"):
        codes = gallery.exec("python3", "-c", PUBLISH, *topics).splitlines()
    assert codes == ["Not authorized"] * len(topics)


def kept_apart(stack: Stack) -> set[str]:
    """Without what the store is still writing."""
    return {key for key in stack.store.objects("rejected/") if "/.tmp." not in key}


def test_a_face_in_anothers_name_on_ones_own_topic_is_rejected(stack: Stack, other: Peer) -> None:
    before, faces = stack.books(), len(stack.stored())
    known = kept_apart(stack)
    facts = {"id": "ffffffff00000000deadbeefdeadbeef", "device": DEVICE, "camera": "camera-0"}
    other.send(f"faces/from/{OTHER}", png(), facts)
    (kept,) = until(lambda: kept_apart(stack) - known)
    assert "device_mismatch" in stack.store.metadata(kept).values()
    assert len(stack.stored()) == faces
    assert stack.books() == before


def test_anothers_client_id_takes_nothing_over(stack: Stack, bundle: Path) -> None:
    forwarder, broker = stack.jetson.one("forwarder"), stack.cloud.one("broker")
    made = stack.metric("forwarder", CONNECTIONS, broker="cloud")
    for id in (DEVICE, f"forwarder-{DEVICE}"):
        with Peer(stack.port, bundle, client_id=id) as thief:
            assert thief.is_in
            assert thief.may_subscribe(f"faces/receipts/{OTHER}")
            assert not thief.may_subscribe(f"faces/receipts/{DEVICE}")
    assert re.search(rf"New client connected from \S+ as {OTHER} \(", broker.log)
    assert not re.search(rf"Client {DEVICE} .*(already connected|session taken over)", broker.log)
    assert forwarder.health == "healthy"
    assert stack.metric("forwarder", CONNECTIONS, broker="cloud") == made


def test_a_packet_of_100_megabytes(stack: Stack, bundle: Path) -> None:
    topic = f"faces/from/{OTHER}".encode()
    size = 100 * MEBI
    with (
        told(stack, rf"Client {OTHER} .*(?:oversize packet|packet too large)"),
        socket.create_connection(("localhost", stack.port), 10) as plain,
        context(bundle).wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(CONNECT)
        assert sock.recv(100)[:1] == b"\x20"
        length, left = b"", size
        while left:
            length += bytes([left % 128 | (128 if left > 127 else 0)])
            left //= 128
        sock.sendall(b"\x30" + length + len(topic).to_bytes(2, "big") + topic + b"\0")
        sent = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while sent < size:
                sock.sendall(bytes(MEBI))
                sent += MEBI
        assert sent < 10 * MEBI


def test_a_thousand_connections_at_once_keep_nobody_out(stack: Stack, bundle: Path) -> None:
    # The peer's own socket is to be below 1,024: its select() knows none above.
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
    with contextlib.ExitStack() as crowd:
        for _ in range(1000):
            crowd.enter_context(socket.create_connection(("localhost", stack.port), 10))
        for descriptor in kept:
            os.close(descriptor)
        with Peer(stack.port, bundle) as peer:  # by a new connection
            assert peer.is_in
            assert peer.may_subscribe(f"faces/receipts/{OTHER}")
            facts = {"id": "ffffffff000000000123456789abcdef", "device": OTHER, "camera": "cam"}
            peer.send(f"faces/from/{OTHER}", png(), facts)
            until(lambda: peer.on(f"faces/receipts/{OTHER}"), 30, "its receipt")
        stack.plays(loop=False)  # and the one that was there goes on
        stack.check()


def test_the_limit_of_connections_holds_after_thousands_that_came_and_went(
    stack: Stack, bundle: Path
) -> None:
    """Mosquitto before 2.0.12 loses count."""
    for _ in range(3000):
        socket.create_connection(("localhost", stack.port), 10).close()
    with contextlib.ExitStack() as crowd:

        def is_refused(count: int) -> bool:
            for _ in range(count):
                crowd.enter_context(socket.create_connection(("localhost", stack.port), 10))
            return "max_connections exceeded" in stack.cloud.one("broker").log

        # The kernel drops some of a rush that overflows the broker's backlog, and their clients
        # never learn it: so come more, a few at a time, until the broker itself refuses one.
        assert not is_refused(1500)
        until(lambda: is_refused(20), 30, "the broker refuses a connection")
    with Peer(stack.port, bundle) as peer:
        assert peer.is_in


def test_a_revoked_device_is_cut_off_and_cannot_come_back(stack: Stack) -> None:
    stolen = stack.enrol("jetson-3")
    made = stack.metric("forwarder", CONNECTIONS, broker="cloud")
    with told(stack, r"deleteClient \| username=jetson-3"), Peer(stack.port, stolen) as peer:
        assert peer.is_in
        _, said = stack.cloud.enroll("revoke", "jetson-3")
        assert "jetson-3" in said
        until(lambda: not peer.is_in, 60, "its open connection is ended")
    with told(stack, "certificate verify failed"):
        refused(stack, context(stolen))
    with (
        told(stack, "certificate verify failed"),
        contextlib.suppress(ssl.SSLError, ConnectionError),  # refused during the handshake
        Peer(stack.port, stolen) as again,
    ):
        assert not again.is_in
    # The others do not notice.
    assert stack.metric("forwarder", CONNECTIONS, broker="cloud") == made
    listed, _ = stack.cloud.enroll("list")
    assert re.search(r"(?m)^jetson-3 .*\d{4}-\d\d-\d\d.*\d{4}-\d\d-\d\d", listed)
