"""The doctor on a device: all is well, and then each part is made to fail."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enroll import package
from testing.doctor import diagnose, run_doctor
from testing.host.disk import mounted
from testing.host.wait import free_port
from testing.host.wallclock import WallClock
from testing.mqtt.edge import EdgeBroker
from testing.network.pki import Authority
from testing.services.enrolment import unpack
from testing.services.process import ROOT, Service
from tests.integration.doctor.conftest import Server

CLIP = ROOT / "demo" / "clip.mp4"
DAY = 86_400.0
FACE = "test face"
SOON = ("--wait", "1")  # where no receipt comes


@dataclasses.dataclass
class Device:
    """settings: the doctor's."""

    edge: EdgeBroker
    forwarder: Service
    settings: dict[str, Any]


def password(folder: Path, user: str) -> Path:
    file = folder / f"{user}.password"
    file.write_text(f"secret-{user}")
    table = folder / "edge.passwords"
    table.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", table, user, file.read_text()], check=True)
    return file


@pytest.fixture
def device(server: Server, tmp_path: Path) -> Iterator[Device]:
    """A device that was given its tar file; its forwarder is yet to be started."""
    folder = tmp_path / "jetson"
    (folder / "secrets").mkdir(parents=True)
    packed, _ = server.enrolment.run("jetson-1", PUBLIC_PORT=str(server.broker.port))
    for name, content in unpack(packed).items():
        (folder / name).write_text(content)
    passwords = {user: password(folder, user) for user in ("detector", "forwarder")}
    shared: dict[str, Any] = {
        "SETTINGS_FILE": folder / package.SETTINGS,
        "CLOUD_BUNDLE": folder / package.BUNDLE,
    }
    with EdgeBroker(folder) as edge:
        shared["MQTT_PORT"] = edge.port
        forwarder = Service(
            "forwarder",
            MQTT_USERNAME="forwarder",
            MQTT_PASSWORD_FILE=passwords["forwarder"],
            **shared,
        )
        settings = {
            "MQTT_USERNAME": "detector",
            "MQTT_PASSWORD_FILE": passwords["detector"],
            "CAMERA": CLIP,
            "DELIVERY": "receipt",
            "OUTBOX_PATH": folder,
            "OUTBOX_MAX_MB": 1,
            **shared,
        }
        yield Device(edge, forwarder, settings)


@pytest.fixture
def forwarder(device: Device, processor: Service) -> Iterator[Service]:
    with device.forwarder as service:
        service.says("cloud broker .*: connected")
        service.says("edge broker .*: connected")
        yield service


def test_a_device_that_works_passes_every_check_and_its_test_face_takes_the_whole_way(
    device: Device, forwarder: Service, server: Server, tmp_path: Path
) -> None:
    picture = tmp_path / "seen.png"
    found = diagnose("jetson", "--picture", str(picture), **device.settings)
    # Whether a time server is at work, and what kind of disk this is, is this machine's affair.
    own = {"docker", "time server", "outbox"}
    assert found.outcomes("failed") == set(), found
    assert found.outcomes("warning", "skipped") <= own, found
    found.says("server", "ok", "accepts the certificate")
    assert "taken over" not in forwarder.log, "the doctor has ended its connection"
    found.says("certificate", "ok", "certificate of jetson-1")
    found.says("camera", "ok", "640x360", str(picture))
    found.says(FACE, "ok", "stored as jetson-1/doctor/")
    found.says("clock", "ok", "the server's clock")
    assert picture.read_bytes().startswith(b"\x89PNG")
    (key,) = server.store.objects()
    assert key.startswith("jetson-1/doctor/")


def test_without_a_forwarder_no_receipt_comes(device: Device, processor: Service) -> None:
    found = diagnose("jetson", *SOON, **device.settings)
    found.says(FACE, "failed", "no receipt", "forwarder", reason="no_receipt")
    found.says("clock", "skipped", FACE)


def test_a_clock_that_is_a_day_off_is_told(
    device: Device, forwarder: Service, tmp_path: Path
) -> None:
    clock = WallClock(tmp_path)
    clock.shift(DAY)
    found = diagnose("jetson", **device.settings, **clock.env)
    found.says("clock", "failed", "ahead of the server's", "timedatectl", reason="clock")


def test_a_certificate_that_has_ended_ends_soon_or_has_not_begun_is_told(
    device: Device, tmp_path: Path
) -> None:
    clock = WallClock(tmp_path)
    for days, outcome, words, reason in (
        (400, "failed", ("expired on", "enroll NAME > NAME.tar"), "ended"),
        (350, "warning", ("expires in 1", "enroll NAME > NAME.tar"), "ends_soon"),
        (-2, "failed", ("not valid before", "set the clock"), "certificate"),
    ):
        clock.shift(days * DAY)
        found = diagnose("jetson", *SOON, **device.settings, **clock.env)
        found.says("certificate", outcome, *words, reason=reason)
        assert (found.checks["server"]["outcome"] == "skipped") == (outcome == "failed")


def test_a_bundle_of_another_device_is_told(device: Device, server: Server) -> None:
    other = server.enrolment.enrol("jetson-2")
    found = diagnose("jetson", *SOON, **{**device.settings, "CLOUD_BUNDLE": other})
    found.says("certificate", "failed", "'jetson-2'", "'jetson-1'", reason="certificate")


def test_a_revoked_device_is_told(device: Device, server: Server) -> None:
    server.enrolment.settings["BROKER_HOST"] = "localhost"
    server.enrolment.settings["BROKER_PORT"] = str(server.broker.inner_port)
    server.enrolment.run("revoke", "jetson-1")
    found = diagnose("jetson", *SOON, **device.settings)
    found.says("server", "failed", "revoked", "enroll NAME", reason="closed")
    found.says(FACE, "skipped", "server")


def test_a_server_of_another_authority_is_told(device: Device, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger")
    own = stranger.issue("jetson-1")
    bundle = tmp_path / "other.pem"
    bundle.write_text(own.pem + own.key_pem + stranger.pem)
    found = diagnose("jetson", *SOON, **{**device.settings, "CLOUD_BUNDLE": bundle})
    found.says("server", "failed", "cannot be verified", "PUBLIC_HOST", reason="certificate")


def test_a_name_that_is_none_of_the_servers_is_told(device: Device) -> None:
    found = diagnose("jetson", *SOON, **{**device.settings, "CLOUD_HOST": "127.0.0.1"})
    found.says("server", "failed", "PUBLIC_HOST", reason="certificate")


def test_a_server_that_cannot_be_found_or_reached_is_told(device: Device) -> None:
    found = diagnose("jetson", *SOON, **{**device.settings, "CLOUD_HOST": "vsi.invalid"})
    found.says("server's name", "failed", "does not resolve", "DNS", reason="name")
    found.says("server's port", "skipped", "server's name")
    found = diagnose("jetson", *SOON, **{**device.settings, "CLOUD_PORT": free_port()})
    found.says("server's port", "failed", "nothing is listening", reason="absent")
    found.says("server", "skipped", "server's port")


def test_a_wrong_password_of_the_edge_broker_is_told(device: Device, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    found = diagnose("jetson", *SOON, **{**device.settings, "MQTT_PASSWORD_FILE": wrong})
    found.says("edge broker", "failed", "password", reason="refused")


def test_an_edge_broker_that_does_not_run_is_told(device: Device) -> None:
    found = diagnose("jetson", *SOON, **{**device.settings, "MQTT_PORT": free_port()})
    found.says("edge broker", "failed", "up -d broker", reason="absent")


@pytest.mark.parametrize(
    ("camera", "words", "reason"),
    [
        ("/dev/video77", "CAMERA_DEVICE", "absent"),
        ("rtsp://127.0.0.1:1/x", "port in CAMERA", "refused"),
        ("rtsp://camera.invalid/x", "host in CAMERA", "unknown_host"),
    ],
)
def test_a_camera_that_cannot_be_opened_is_told(
    device: Device, camera: str, words: str, reason: str
) -> None:
    found = diagnose("jetson", *SOON, **{**device.settings, "CAMERA": camera})
    found.says("camera", "failed", words, reason=reason)


def test_each_of_several_cameras_is_checked(device: Device, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(f'[door]\nsource = "{CLIP}"\n[yard]\nsource = "rtsp://127.0.0.1:1/x"\n')
    settings = {name: value for name, value in device.settings.items() if name != "CAMERA"}
    found = diagnose("jetson", *SOON, **settings, CAMERAS=file)
    found.says("camera/door", "ok", "640x360")
    found.says("camera/yard", "failed", "port in CAMERA", reason="refused")


def test_a_full_disk_and_an_outbox_in_memory_are_told(device: Device, tmp_path: Path) -> None:
    with mounted(tmp_path / "outbox", 1) as disk:
        settings = {**device.settings, "OUTBOX_PATH": disk}
        found = diagnose("jetson", *SOON, **settings)
        found.says("outbox", "warning", "in memory", "restarts")
        (disk / "filler").write_bytes(bytes(1024 * 1024))
        found = diagnose("jetson", *SOON, **settings)
        found.says("outbox", "failed", "No space left", reason="disk")


def test_a_device_without_its_tar_file_is_told_what_is_missing() -> None:
    done = run_doctor("jetson", CAMERA=CLIP)
    assert done.returncode == 2
    assert done.stdout.startswith("failed   settings      CLOUD_HOST is not set")
