"""TLS to a broker: who is trusted, who we say we are, and what is wrong, in plain words."""

from __future__ import annotations

import itertools
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.mqtt import tls
from common.mqtt.broker import Broker
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.linked import Linked
from testing.mqtt.mosquitto import Mosquitto
from testing.network.pki import Authority, Identity
from testing.services.forwarder import DEVICE, connected, forwarder
from testing.services.process import Service


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def own(authority: Authority) -> Identity:
    return authority.issue(DEVICE)


@pytest.fixture
def server(authority: Authority) -> Identity:
    return authority.issue("broker", host="127.0.0.1")


@pytest.fixture
def secure(tmp_path: Path, authority: Authority, server: Identity) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, authority.listener(server)) as broker:
        yield broker


def trusting(broker: Mosquitto, ca: Path, own: Identity | None = None) -> Broker:
    cert, key = (str(own.cert), str(own.key)) if own else ("", "")
    return Broker("test", "127.0.0.1", broker.port, ca=str(ca), cert=cert, key=key)


def test_two_megabytes_go_both_ways_over_tls(
    secure: Mosquitto, authority: Authority, own: Identity
) -> None:
    payloads = [bytes([number]) * 2_000_000 for number in range(3)]
    broker = trusting(secure, authority.ca, own)
    with Linked(broker, "t", id="taker") as taker, Linked(broker) as giver:
        taker.comes_up()
        giver.comes_up()
        for payload in payloads:
            giver.call(giver.link.publish, "t", payload)
        until(lambda: len(taker.messages) == 3)
    assert [bytes(message.payload) for message in taker.messages] == payloads


def wrong_authority(
    folder: Path, good: Authority, own: Identity
) -> tuple[Identity, Path, Identity]:
    return good.issue("b", host="127.0.0.1"), Authority(folder, "another").ca, own


def expired(folder: Path, good: Authority, own: Identity) -> tuple[Identity, Path, Identity]:
    return good.issue("b", host="127.0.0.1", days=-1), good.ca, own


def wrong_host(folder: Path, good: Authority, own: Identity) -> tuple[Identity, Path, Identity]:
    return good.issue("b", host="broker.example"), good.ca, own


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (wrong_authority, "self.signed certificate|unable to get local issuer"),
        (expired, "certificate has expired"),
        (wrong_host, "not valid for '127.0.0.1'"),
    ],
)
def test_a_server_that_cannot_be_trusted_is_named_and_tried_again(
    tmp_path: Path,
    edge: Mosquitto,
    authority: Authority,
    own: Identity,
    wrong: Callable[[Path, Authority, Identity], tuple[Identity, Path, Identity]],
    words: str,
) -> None:
    server, ca, own = wrong(tmp_path, authority, own)
    settings = {"CLOUD_CA": ca, "CLOUD_CERT": own.cert, "CLOUD_KEY": own.key}
    with (
        Mosquitto(tmp_path, authority.listener(server)) as cloud,
        forwarder(edge.port, cloud.port, **settings) as service,
    ):
        service.says(
            rf"cloud broker .*: its certificate cannot be verified: .*({words}).*trying again"
        )
        assert service.health()["reasons"] == {"cloud_broker": "certificate"}
        until(lambda: failures(service, "certificate") >= 2)
        assert service.log.count("cannot be verified") == 1


def failures(service: Service, reason: str) -> float:
    return service.metric("facepipe_mqtt_failures_total", broker="cloud", reason=reason)


def test_a_client_without_certificate_learns_what_may_be_missing(
    secure: Mosquitto, edge: Mosquitto, authority: Authority
) -> None:
    with forwarder(edge.port, secure.port, CLOUD_CA=authority.ca) as service:
        service.says("it closed the connection before MQTT began; does it accept our certificate")
        assert service.health()["reasons"] == {"cloud_broker": "closed"}


def test_tls_to_a_plain_broker_and_plain_to_a_tls_broker_are_told_apart(
    secure: Mosquitto, edge: Mosquitto, cloud: Mosquitto, authority: Authority
) -> None:
    with forwarder(edge.port, secure.port) as service:
        service.says("it closed the connection before MQTT began; does that port expect TLS")
    with forwarder(edge.port, cloud.port, CLOUD_CA=authority.ca) as service:
        service.says(r"the TLS handshake failed: .*\(tls\); trying again")


@pytest.mark.parametrize("order", list(itertools.permutations(("ca", "cert", "key"))))
def test_a_bundle_is_read_in_any_order(
    tmp_path: Path, authority: Authority, own: Identity, order: tuple[str, ...]
) -> None:
    parts = {"ca": authority.pem, "cert": own.pem, "key": own.key_pem}
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("# for box-1\n" + "\n".join(parts[part] for part in order))
    authorities, identity = tls.read_bundle(str(bundle))
    assert authorities.strip() == authority.pem.strip()
    assert identity == own.pem + own.key_pem
    assert tls.common_name(tls.decode_certificate(identity)) == DEVICE
    assert Broker("x", "h", 1, bundle=str(bundle)).context() is not None


def test_a_bundle_opens_the_way_to_the_cloud(
    tmp_path: Path, secure: Mosquitto, edge: Mosquitto, authority: Authority, own: Identity
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(own.key_pem + authority.pem + own.pem)
    with forwarder(edge.port, secure.port, CLOUD_BUNDLE=bundle) as service:
        connected(service)
        assert service.health()["status"] == "well"
        assert own.key_pem not in service.log


def without_key(authority: Authority, own: Identity) -> str:
    return authority.pem + own.pem


def without_authority(authority: Authority, own: Identity) -> str:
    return own.pem + own.key_pem


def with_another_key(authority: Authority, own: Identity) -> str:
    return authority.pem + own.pem + authority.issue("other").key_pem


def with_an_encrypted_key(authority: Authority, own: Identity) -> str:
    return authority.pem + own.pem + own.encrypted_key_pem


def with_a_broken_certificate(authority: Authority, own: Identity) -> str:
    return authority.pem + own.pem.replace("M", "!", 1) + own.key_pem


def empty(authority: Authority, own: Identity) -> str:
    return "\n"


@pytest.mark.parametrize(
    "content",
    [
        without_key,
        without_authority,
        with_another_key,
        with_an_encrypted_key,
        with_a_broken_certificate,
        empty,
    ],
)
def test_a_bundle_that_cannot_be_used_is_a_problem_by_name(
    tmp_path: Path,
    authority: Authority,
    own: Identity,
    content: Callable[[Authority, Identity], str],
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(content(authority, own))
    problems = list(Broker("x", "h", 1, bundle=str(bundle)).problems("CLOUD"))
    assert len(problems) == 1
    assert problems[0].startswith("CLOUD_BUNDLE: cannot be used for TLS: ")


def test_a_certificate_of_another_device_ends_it_with_2(
    tmp_path: Path, authority: Authority
) -> None:
    other = authority.issue("box-2")
    settings = {"CLOUD_CA": authority.ca, "CLOUD_CERT": other.cert, "CLOUD_KEY": other.key}
    with forwarder(1883, 8883, **settings) as service:
        assert service.wait() == 2
        assert "DEVICE is 'box-1', but the cloud certificate belongs to 'box-2'" in service.log


def test_a_certificate_that_has_expired_can_be_read_all_the_same(authority: Authority) -> None:
    old = authority.issue(DEVICE, days=-1)
    decoded = tls.decode_certificate(old.pem + old.key_pem)
    assert tls.common_name(decoded) == DEVICE
    assert -2 * 86_400 < tls.expiry_of(decoded) - time.time() < 0


def test_only_tls_1_2_and_newer_is_spoken(authority: Authority) -> None:
    context = tls.client_context(authority.pem, "")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_renewed_files_are_taken_up_at_the_next_connection(
    tmp_path: Path, edge: Mosquitto, authority: Authority, server: Identity
) -> None:
    old, new = authority.issue(DEVICE, days=-1), authority.issue(DEVICE)
    cert, key = tmp_path / "own.crt", tmp_path / "own.key"
    cert.write_text(old.pem)
    key.write_text(old.key_pem)
    settings = {"CLOUD_CA": authority.ca, "CLOUD_CERT": cert, "CLOUD_KEY": key}
    with (
        Mosquitto(tmp_path, authority.listener(server)) as cloud,
        forwarder(edge.port, cloud.port, **settings) as service,
    ):
        service.says("does it accept our certificate")
        cert.write_text(new.pem)
        until(lambda: service.health()["reasons"]["cloud_broker"] == "certificate")
        key.write_text(new.key_pem)
        connected(service)
        with Mqtt(edge.port) as camera:
            camera.publish("faces", b"face")
        until(lambda: service.metric("facepipe_forwarder_messages_relayed_total", kind="face"))
