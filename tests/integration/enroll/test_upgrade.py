"""Authorities for devices and for services, and what was enrolled before there were two."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.services.enrolment import CloudBroker, Enrolment, Peer, refusal, running

pytestmark = pytest.mark.attack

BEFORE = Path(__file__).parent / "before"


class OldBroker(CloudBroker):
    """Has the configuration of before: both listeners trust `ca.crt`."""

    def _configuration(self) -> str:
        conf = super()._configuration()
        for listener in ("devices", "services"):
            for kind, before in (("crt", "ca.crt"), ("crl", "crl.pem")):
                conf = conf.replace(
                    str(self._run / f"{listener}.{kind}"), str(self._identity / before)
                )
        return conf


@pytest.fixture
def old(tmp_path: Path) -> Enrolment:
    """Two devices and all services, enrolled by a version that had one authority."""
    for folder in ("authority", "identities"):
        shutil.copytree(BEFORE / folder, tmp_path / folder)
    for file in BEFORE.glob("*.pem"):
        shutil.copy(file, tmp_path)
    return Enrolment(tmp_path)


@pytest.mark.parametrize("name", ["processor", "gallery", "broker"])
def test_a_certificate_of_a_service_is_refused_at_the_port_of_the_devices(
    enrolment: Enrolment, cloud: CloudBroker, name: str
) -> None:
    folders = {"processor": enrolment.processor, "gallery": enrolment.gallery}
    bundle = folders.get(name, enrolment.broker) / f"{name}.pem"
    assert refusal(cloud.inner_port, bundle) == ""
    assert refusal(cloud.port, bundle)


def test_a_certificate_of_a_device_is_refused_at_the_port_of_the_services(
    cloud: CloudBroker, device: Path
) -> None:
    assert refusal(cloud.port, device) == ""
    assert refusal(cloud.inner_port, device)


def test_the_brokers_server_certificate_is_not_accepted_from_a_client(
    enrolment: Enrolment, cloud: CloudBroker
) -> None:
    bundle = enrolment.folder / "server.pem"
    parts = [enrolment.broker / "server.pem", enrolment.authority / "ca.crt"]
    bundle.write_text("".join(part.read_text() for part in parts))
    assert refusal(cloud.port, bundle)


def test_before_the_next_run_everything_works_as_before(old: Enrolment) -> None:
    with running(old) as cloud, Peer(cloud.port, old.folder / "jetson-1.pem") as device:
        assert device.may_publish("faces/from/jetson-1")
        with Peer(cloud.inner_port, old.processor / "processor.pem", "processor-a") as processor:
            assert processor.may_publish("faces/stored")


@pytest.mark.parametrize("broker", [CloudBroker, OldBroker])
def test_devices_keep_their_certificates_and_services_move(
    old: Enrolment, broker: type[CloudBroker]
) -> None:
    bundles = [old.folder / f"jetson-{number}.pem" for number in (1, 2)]
    before = old.folder / "processor-before.pem"
    shutil.copy(old.processor / "processor.pem", before)
    with broker(old.broker) as cloud:
        old.settings |= {"BROKER_HOST": "localhost", "BROKER_PORT": str(cloud.inner_port)}
        with (
            Peer(cloud.port, bundles[0]) as device,
            Peer(cloud.inner_port, before, "processor-a") as processor,
        ):
            new = old.enrol("jetson-3")
            for bundle, name in ((new, "jetson-3"), (bundles[1], "jetson-2")):
                with Peer(cloud.port, bundle) as peer:
                    assert peer.may_publish(f"faces/from/{name}")
            moved = old.processor / "processor.pem"
            assert moved.read_text() != before.read_text()
            for bundle in (moved, before):
                assert refusal(cloud.inner_port, bundle) == ""
            assert device.may_publish("faces/from/jetson-1")
            assert processor.may_publish("faces/stored")
        if broker is CloudBroker:
            for bundle in (moved, before):
                until(partial(refusal, cloud.port, bundle))


def test_the_list_names_who_is_left_until_the_old_authority_is_not_trusted_any_more(
    old: Enrolment,
) -> None:
    trusted = old.broker / "devices.crt"
    with running(old) as cloud:
        old.run("jetson-3")
        out, said = old.run("list")
        assert "jetson-1, jetson-2" in said
        assert [line.split()[-1] for line in out.splitlines() if "jetson-1" in line] == ["root"]
        renewed = old.enrol("jetson-1")
        assert refusal(cloud.port, old.folder / "jetson-1.pem") == ""  # until it is replaced
        old.run("revoke", "jetson-2")
        assert "CERTIFICATE_REVOKED" in refusal(cloud.port, old.folder / "jetson-2.pem")
        assert trusted.read_text().count("BEGIN CERTIFICATE") == 2
        old.run("retire")
        assert trusted.read_text().count("BEGIN CERTIFICATE") == 1
        until(lambda: refusal(cloud.port, old.folder / "jetson-1.pem"))
        assert refusal(cloud.port, renewed) == ""
        assert "still with" not in old.run("list")[1]
