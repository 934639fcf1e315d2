"""The doctor on a server: all is well, and then each part is made to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from testing.doctor import diagnose, run_doctor
from testing.host.disk import mounted
from testing.host.wait import free_port
from testing.services.enrolment import Enrolment
from testing.services.process import Service
from testing.store.canned import Canned
from testing.store.fake_s3 import FakeS3
from testing.store.nanio import reached_at
from tests.integration.doctor.conftest import Server

FACE = "test face"
SOON = ("--wait", "1")  # where no receipt comes


def test_a_server_that_works_passes_every_check_and_nothing_is_left_in_the_bucket(
    server: Server, processor: Service
) -> None:
    found = diagnose("server", **server.settings)
    assert found.outcomes("failed", "warning") == set(), found
    assert found.outcomes("skipped") <= {"docker"}
    assert found.code == 0
    found.says(FACE, "ok", "stored as doctor/doctor/", "and removed")
    found.says("public port", "ok", "localhost is open")
    found.says("identity", "ok", "certificate of doctor")
    assert server.store.objects() == {}
    left = {path.name for path in (server.store.bucket / ".facepipe").rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith("doctor-")]


def test_without_a_processor_no_receipt_comes(server: Server) -> None:
    found = diagnose("server", *SOON, **server.settings)
    found.says(FACE, "failed", "no receipt within", "logs --tail 20 processor", reason="no_receipt")
    assert found.code == 2


def test_a_closed_port_and_what_builds_on_it_are_told_apart(server: Server) -> None:
    settings = {**server.settings, "MQTT_PORT": free_port(), "PUBLIC_PORT": free_port()}
    found = diagnose("server", *SOON, **settings)
    found.says("broker", "failed", "nothing is listening", "up -d", reason="absent")
    found.says("public port", "warning", "security group", reason="absent")
    found.says(FACE, "skipped", "broker")


def test_a_name_that_the_brokers_certificate_lacks_is_named(server: Server) -> None:
    found = diagnose(
        "server", *SOON, **{**server.settings, "PUBLIC_HOST": "localhost,vsi.example.com"}
    )
    found.says("broker", "failed", "lacks vsi.example.com", "enroll renew", reason="certificate")


def test_a_public_name_that_does_not_resolve_is_named(server: Server) -> None:
    found = diagnose("server", *SOON, **{**server.settings, "PUBLIC_HOST": "vsi.invalid"})
    found.says("public name", "failed", "vsi.invalid", "DNS", reason="name")
    found.says("public port", "skipped", "public name")


def test_a_server_enrolled_before_there_was_a_doctor_is_told_what_to_run(server: Server) -> None:
    Path(server.settings["MQTT_BUNDLE"]).unlink()
    found = diagnose("server", *SOON, **server.settings)
    found.says("identity", "failed", "has no certificate", "enroll renew")
    server.enrolment.run("renew")
    found = diagnose("server", *SOON, **server.settings)
    found.says("identity", "ok")


def test_a_wrong_key_is_told(server: Server) -> None:
    found = diagnose("server", *SOON, **{**server.settings, "COS_SECRET_ACCESS_KEY": "wrong"})
    found.says("write", "failed", "credentials", reason="denied")
    found.says("read", "skipped", "write")


def test_a_bucket_that_is_not_there_is_told(server: Server) -> None:
    found = diagnose("server", *SOON, **{**server.settings, "COS_BUCKET": "elsewhere"})
    found.says("write", "failed", "COS_BUCKET", reason="no_bucket")


def test_an_endpoint_that_is_not_there_is_told(server: Server) -> None:
    gone = {"COS_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    found = diagnose("server", *SOON, **{**server.settings, **gone})
    found.says("endpoint", "failed", "nothing is listening", reason="absent")
    found.says("write", "skipped", "endpoint")
    unknown = {"COS_ENDPOINT": "https://s3.invalid"}
    found = diagnose("server", *SOON, **{**server.settings, **unknown})
    found.says("endpoint", "failed", "does not resolve", reason="name")


def test_the_gallerys_own_credentials_are_tried_for_what_it_does(server: Server) -> None:
    own = {"GALLERY_COS_ACCESS_KEY_ID": "test-key-id", "GALLERY_COS_SECRET_ACCESS_KEY": "wrong"}
    found = diagnose("server", *SOON, **{**server.settings, **own})
    found.says("write", "ok")
    found.says("read", "failed", reason="denied")
    found.says("list", "failed", reason="denied")
    found.says("delete", "warning", "role Writer", reason="denied")


def test_a_store_without_lifecycle_rules_is_told(server: Server) -> None:
    found = diagnose("server", *SOON, **{**server.settings, "RETENTION_DAYS": 30})
    found.says("retention", "warning", "gallery deletes by itself")
    never = {**server.settings, "RETENTION_DAYS": 0, "RETENTION_HOURS": 0}
    found = diagnose("server", *SOON, **never)
    found.says("retention", "warning", "until somebody deletes them", "docs/privacy.md")


def test_a_clock_that_is_a_day_behind_the_stores_is_told(server: Server) -> None:
    date = b"HTTP/1.1 403 Forbidden\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
    answer = date + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    with Canned(lambda _: answer) as store:
        found = diagnose("server", *SOON, **{**server.settings, **reached_at(store.endpoint)})
    found.says("clock", "failed", "behind the bucket's", "timedatectl", reason="clock")


@pytest.mark.parametrize("fault", ["error", "reset"])
def test_a_store_that_fails_is_told(server: Server, fault: str) -> None:
    with FakeS3() as store:
        store.always = fault
        found = diagnose("server", *SOON, **{**server.settings, **store.settings})
    assert found.checks["write"]["outcome"] == "failed"
    assert found.checks["write"]["remedy"]


def test_a_full_disk_is_told(server: Server, tmp_path: Path) -> None:
    with mounted(tmp_path / "data", 1) as disk:
        (disk / "filler").write_bytes(bytes(1024 * 1024))
        found = diagnose("server", *SOON, **{**server.settings, "GALLERY_DATA": disk})
    found.says(
        "disk", "failed", "cannot be written: No space left", "free some space", reason="disk"
    )


def test_settings_that_are_wrong_are_all_told(server: Server) -> None:
    found = diagnose(
        "server", *SOON, **{**server.settings, "COS_BUCKET": "", "PUBLIC_PORT": "many"}
    )
    assert {one["sentence"].split()[0] for one in found.checks.values()} == {
        "COS_BUCKET",
        "PUBLIC_PORT",
    }
    assert found.code == 2


def test_people_see_a_table_with_a_word_and_a_remedy(enrolment: Enrolment, server: Server) -> None:
    gone = {"COS_ENDPOINT": "https://s3.invalid", "MQTT_PORT": free_port()}
    done = run_doctor("server", *SOON, **{**server.settings, **gone})
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert any(line.startswith("failed   endpoint") for line in lines), done.stdout
    assert any(line.strip().startswith("-> check the name") for line in lines), done.stdout
    assert lines[-1].startswith("Something does not work")
    assert "\x1b" not in done.stdout
