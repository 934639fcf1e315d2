"""Certificates: warned of before they end, and taken up when their files change."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.mqtt import certificates
from common.mqtt.broker import Broker
from common.mqtt.certificates import DAY
from common.mqtt.presence import Presence
from testing.host.wait import free_port, until, until_equal
from testing.mqtt.client import Mqtt
from testing.mqtt.linked import Linked
from testing.mqtt.mosquitto import Mosquitto
from testing.network.pki import Authority, Identity
from testing.services.forwarder import DEVICE, connected, forwarder
from testing.services.process import Service
from testing.store.nanio import Store

ENDS = "facepipe_certificate_expiration_timestamp_seconds"
TOOK_UP = "loaded the new certificate, valid until 20"
UNUSABLE = "cannot use the new TLS files"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def server(authority: Authority) -> Identity:
    return authority.issue("broker", host="127.0.0.1", days=60)


@pytest.fixture
def secure(tmp_path: Path, authority: Authority, server: Identity) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, authority.listener(server)) as broker:
        yield broker


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at without patience."""
    monkeypatch.setattr(certificates, "CHECK_EVERY", 0.05)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path / "bundle.pem"


def put(path: Path, content: str) -> None:
    """As `cp` and `mv` do: at once."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.rename(path)


def whole(authority: Authority, own: Identity) -> str:
    return authority.pem + own.pem + own.key_pem


def bundled(broker: Mosquitto, bundle: Path) -> Broker:
    return Broker("test", "127.0.0.1", broker.port, bundle=str(bundle))


def own(days: float) -> tuple[float, float]:
    return days, 60


def brokers(days: float) -> tuple[float, float]:
    return 60, days


@pytest.mark.parametrize(
    ("days", "line", "status"),
    [
        (own(20), r"our own certificate \(box-1\) expires in 20 days, .*; run `enroll box-1`", {}),
        (brokers(20), "the broker's certificate expires in 20 days, .*; run `enroll renew`", {}),
        (own(5), r"our own certificate \(box-1\) expires in 5 days", {"cloud": "ends_soon"}),
        (brokers(0.1), "the broker's certificate expires in 2 hours", {"cloud": "ends_soon"}),
    ],
)
def test_what_ends_within_30_days_is_warned_of_at_the_start(
    tmp_path: Path,
    edge: Mosquitto,
    authority: Authority,
    bundle: Path,
    days: tuple[float, float],
    line: str,
    status: dict[str, str],
) -> None:
    bundle.write_text(whole(authority, authority.issue(DEVICE, days=days[0])))
    server = authority.issue("broker", host="127.0.0.1", days=days[1])
    with (
        Mosquitto(tmp_path, authority.listener(server)) as cloud,
        forwarder(edge.port, cloud.port, CLOUD_BUNDLE=bundle) as service,
    ):
        connected(service)
        assert re.search(rf"WARNING forwarder: cloud broker \S+: {line}", service.log)
        assert len(re.findall("certificate.* expires in", service.log)) == 2  # the authority's: 30
        for whose, left in (("own", days[0]), ("broker", days[1]), ("authority", 30)):
            end = service.metric(ENDS, broker="cloud", whose=whose)
            assert abs(end - time.time() - left * DAY) < 60
        reasons = {f"{name}_certificate": reason for name, reason in status.items()}
        assert service.health()["reasons"] == reasons


def test_our_own_certificate_that_has_ended_is_named_as_the_error_that_it_is(
    edge: Mosquitto, secure: Mosquitto, authority: Authority, bundle: Path
) -> None:
    bundle.write_text(whole(authority, authority.issue(DEVICE, days=-3)))
    with forwarder(edge.port, secure.port, CLOUD_BUNDLE=bundle) as service:
        service.says(r"ERROR .*our own certificate \(box-1\) EXPIRED 3 days ago, .*enroll box-1")
        service.says("does it accept our certificate")
        assert service.health()["reasons"]["cloud_certificate"] == "ended"
        assert service.metric(ENDS, broker="cloud", whose="own") < time.time()


def test_a_certificate_that_ends_while_the_connection_is_up_is_seen(
    secure: Mosquitto,
    authority: Authority,
    bundle: Path,
    soon: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle.write_text(whole(authority, authority.issue(DEVICE, days=3 / DAY)))
    with Linked(bundled(secure, bundle)) as linked:
        linked.comes_up()
        assert linked.health.reasons() == {"test_certificate": "ends_soon"}
        until(lambda: linked.health.reasons() == {"test_certificate": "ended"})
        assert "(box-1) EXPIRED" in caplog.text
        assert linked.downs == []


def test_it_is_said_once_a_day(
    secure: Mosquitto,
    authority: Authority,
    bundle: Path,
    soon: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle.write_text(whole(authority, authority.issue(DEVICE, days=20)))

    def times() -> int:
        return caplog.text.count("our own certificate (box-1) expires in")

    with Linked(bundled(secure, bundle)) as linked:
        linked.comes_up()
        bundle.unlink()
        until(linked.health.reasons)  # it has looked, twice at least
        assert times() == 1
        monkeypatch.setattr(certificates, "DAY", 0.1)
        until(lambda: times() > 2)


def test_a_new_bundle_is_taken_up_without_a_restart_and_in_good_order(
    edge: Mosquitto, secure: Mosquitto, authority: Authority, bundle: Path
) -> None:
    bundle.write_text(whole(authority, authority.issue(DEVICE, days=5)))
    with forwarder(edge.port, secure.port, CLOUD_BUNDLE=bundle) as service:
        connected(service)
        assert service.health()["status"] == "degraded"
        put(bundle, whole(authority, authority.issue(DEVICE, days=59)))
        service.says(f"cloud broker .*: {TOOK_UP}", seconds=40)
        until(lambda: service.health()["reasons"] == {})
        until(lambda: service.metric("facepipe_mqtt_connected", broker="cloud"))
        assert service.metric("facepipe_mqtt_connections_total", broker="cloud") == 2
        assert service.metric("facepipe_mqtt_failures_total", broker="cloud") == 0
        end = service.metric(ENDS, broker="cloud", whose="own")
        assert abs(end - time.time() - 59 * DAY) < 60
        assert "trying again" not in service.log
        assert "Client forwarder-box-1 disconnected." in secure.log


def test_no_message_is_lost_when_new_files_are_taken_up(
    tmp_path: Path, authority: Authority, bundle: Path, server: Identity, soon: None
) -> None:
    plain = free_port()
    extra = f"listener {plain} 127.0.0.1\nallow_anonymous true\n"
    bundle.write_text(whole(authority, authority.issue(DEVICE)))
    sent: list[int] = []
    with (
        Mosquitto(tmp_path, f"{authority.listener(server)}{extra}") as broker,
        Mqtt(plain, "t") as taker,
        Linked(bundled(broker, bundle)) as giver,
    ):
        giver.comes_up()

        def give(number: int) -> None:
            def done(reason: str | None) -> None:
                assert reason is None
                sent.append(number)

            # False: the next connection is not up yet; who gives it, keeps it (as Outgoing does).
            until(lambda: giver.call(giver.link.publish, "t", bytes([number]) * 50_000, done=done))

        for number in range(200):
            if number in (50, 100, 150):
                put(bundle, whole(authority, authority.issue(DEVICE)))
                ups = giver.ups
                while giver.ups == ups:
                    give(number)
            give(number)
        until(lambda: {message.payload[0] for message in taker.messages} == set(range(200)))
    assert giver.downs == ["renewed"] * 3
    assert set(sent) == set(range(200))


def anothers(authority: Authority, folder: Path) -> tuple[str, str]:
    return whole(
        authority, authority.issue("box-2")
    ), "certificate belongs to 'box-2', but this is 'box-1'"


def half_of_it(authority: Authority, folder: Path) -> tuple[str, str]:
    return whole(authority, authority.issue(DEVICE))[:-100], "a bundle must contain an authority"


def of_another_key(authority: Authority, folder: Path) -> tuple[str, str]:
    key = authority.issue("other").key_pem
    return authority.pem + authority.issue(DEVICE).pem + key, "belongs to its key"


def that_trusts_another_authority(authority: Authority, folder: Path) -> tuple[str, str]:
    other = Authority(folder / "other", "another")
    return whole(other, authority.issue(DEVICE)), "its certificate cannot be verified: "


def that_another_authority_signed(authority: Authority, folder: Path) -> tuple[str, str]:
    other = Authority(folder / "other", "another")
    return whole(authority, other.issue(DEVICE)), "it does not accept our certificate: "


def that_has_expired(authority: Authority, folder: Path) -> tuple[str, str]:
    return whole(authority, authority.issue(DEVICE, days=-1)), "it does not accept our certificate"


@pytest.mark.parametrize(
    "wrong",
    [
        anothers,
        half_of_it,
        of_another_key,
        that_trusts_another_authority,
        that_another_authority_signed,
        that_has_expired,
    ],
)
def test_new_files_that_cannot_be_used_are_said_once_and_the_connection_stays(
    tmp_path: Path,
    secure: Mosquitto,
    authority: Authority,
    bundle: Path,
    soon: None,
    caplog: pytest.LogCaptureFixture,
    wrong: Callable[[Authority, Path], tuple[str, str]],
) -> None:
    caplog.set_level("INFO")
    bundle.write_text(whole(authority, authority.issue(DEVICE)))
    content, words = wrong(authority, tmp_path)
    with (
        Linked(bundled(secure, bundle)) as linked,
        Linked(bundled(secure, bundle), id="b") as other,
    ):
        linked.comes_up()
        other.comes_up()
        put(bundle, content)
        for one in (linked, other):
            until_equal(one.health.reasons, {"test_certificate": "unusable"})
        tried = secure.log.count("New connection")
        if "accept" in words:  # it is tried again, with the broker
            until(lambda: secure.log.count("New connection") > tried + 2)
        assert f"{UNUSABLE}: " in caplog.text
        assert words in caplog.text
        assert linked.downs == []
        put(bundle, whole(authority, authority.issue(DEVICE)))
        linked.comes_up(2)
        other.comes_up(2)
        assert linked.downs == ["renewed"]
        assert linked.health.reasons() == {}
    assert caplog.text.count(UNUSABLE) == 2  # one for each of the two links
    assert caplog.text.count(TOOK_UP) == 2


def test_a_file_that_goes_away_for_a_moment_ends_nothing(
    secure: Mosquitto, authority: Authority, bundle: Path, soon: None
) -> None:
    content = whole(authority, authority.issue(DEVICE))
    bundle.write_text(content)
    with Linked(bundled(secure, bundle)) as linked:
        linked.comes_up()
        bundle.unlink()
        until(lambda: linked.health.reasons() == {"test_certificate": "unusable"})
        bundle.write_text(content)
        until(lambda: linked.health.reasons() == {})
        assert linked.downs == []


def test_certificate_and_key_in_files_of_their_own_are_taken_up_together(
    secure: Mosquitto, authority: Authority, tmp_path: Path, soon: None
) -> None:
    old, new = authority.issue(DEVICE), authority.issue(DEVICE)
    broker = Broker(
        "test", "127.0.0.1", secure.port, ca=str(authority.ca), cert=str(old.cert), key=str(old.key)
    )
    with Linked(broker) as linked:
        linked.comes_up()
        put(old.cert, new.pem)
        until(lambda: linked.health.reasons() == {"test_certificate": "unusable"})
        put(old.key, new.key_pem)
        linked.comes_up(2)
        assert linked.downs == ["renewed"]


def test_a_broker_that_shows_a_new_certificate_is_not_warned_of_any_more(
    secure: Mosquitto,
    authority: Authority,
    server: Identity,
    bundle: Path,
    soon: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = (authority.issue("broker", host="127.0.0.1", days=days) for days in (3, 60))
    server.cert.write_text(old.pem)
    server.key.write_text(old.key_pem)
    secure.signal(signal.SIGHUP)
    until(lambda: "Reloading config" in secure.log)
    bundle.write_text(whole(authority, authority.issue(DEVICE)))
    monkeypatch.setattr(certificates, "SOON", 10 * DAY)
    monkeypatch.setattr(certificates, "DAY", 0.2)
    with Linked(bundled(secure, bundle)) as linked:
        linked.comes_up()
        assert linked.health.reasons() == {"test_certificate": "ends_soon"}
        server.cert.write_text(new.pem)
        server.key.write_text(new.key_pem)
        secure.signal(signal.SIGHUP)
        until(lambda: linked.health.reasons() == {})
        assert linked.downs == []


def test_a_processor_has_its_identity_in_one_file(
    secure: Mosquitto, store: Store, authority: Authority, bundle: Path
) -> None:
    bundle.write_text(whole(authority, authority.issue("processor", days=20)))
    settings = {"MQTT_PORT": secure.port, "MQTT_BUNDLE": bundle, **store.settings}
    with Service("processor", **settings) as service:
        service.says("cloud broker .*: connected")
        assert service.metric(ENDS, broker="cloud", whose="own") > time.time()
        assert "u'processor'" in secure.log
        assert "our own certificate (processor) expires in 20 days" in service.log
        assert "run `enroll renew` on the server" in service.log


def test_a_plain_connection_has_no_certificates(edge: Mosquitto, soon: None) -> None:
    with Linked(edge.port) as linked:
        linked.comes_up()
        assert linked.health.reasons() == {}


def test_the_status_message_tells_the_days_until_the_first_of_them_ends(
    secure: Mosquitto, authority: Authority, bundle: Path
) -> None:
    bundle.write_text(whole(authority, authority.issue(DEVICE, days=20)))
    with Linked(bundled(secure, bundle)) as linked:
        linked.comes_up()
        status = Presence(linked.link, "faces/status/box-1/forwarder/main", linked.health)
        linked.call(status.publish)
        assert 19.9 < json.loads(status.last)["certificate_days"] <= 20
