"""Kills, losses and damage: what the next run goes on from, and what it refuses."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from enroll import certificates
from testing.services.enrolment import Enrolment, Peer, openssl, refusal, running


def ledger(enrolment: Enrolment) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((enrolment.authority / "ledger.json").read_text())[
        "certificates"
    ]
    return found


def test_a_kill_at_any_point_leaves_a_ledger_that_the_next_run_goes_on_from(
    enrolment: Enrolment,
) -> None:
    chance = random.Random(7)
    for number in range(12):
        process = enrolment.start(f"jetson-{number}")
        # Python takes a part of a second to start; what matters is what follows.
        try:
            process.wait(chance.uniform(0.1, 0.6))
        except subprocess.TimeoutExpired:
            process.kill()
        out, _ = process.communicate()
        names = {entry["name"] for entry in ledger(enrolment)} if number_of(enrolment) else set()
        assert f"jetson-{number}" in names or not out
    bundle = enrolment.enrol("jetson-99")
    ca = enrolment.broker / "ca.crt"
    assert "OK" in openssl("verify", "-CAfile", ca, "-purpose", "sslclient", bundle)
    assert not list(enrolment.folder.rglob(".*.new"))
    good = {entry["name"] for entry in ledger(enrolment)} - {"broker", "processor", "gallery"}
    access = json.loads((enrolment.broker / "access.json").read_text())
    assert good <= {client["username"] for client in access["clients"]}


def number_of(enrolment: Enrolment) -> int:
    file = enrolment.authority / "ledger.json"
    return len(ledger(enrolment)) if file.exists() else 0


def test_enrolments_at_once_all_come_to_their_end(enrolment: Enrolment) -> None:
    names = [f"jetson-{number}" for number in range(4)]
    processes = [enrolment.start(name) for name in names]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, ends
    entries = ledger(enrolment)
    assert {entry["name"] for entry in entries} == {*names, "broker", "processor", "gallery"}
    assert len(entries) == 8  # two of the broker: as a server, and as a client of itself
    assert len({entry["serial"] for entry in entries}) == 8


@pytest.mark.parametrize("lost", ["ca.key", "devices.key", "services.key", "ledger.json"])
def test_what_is_lost_is_not_begun_anew(enrolment: Enrolment, device: Path, lost: str) -> None:
    (enrolment.authority / lost).unlink()
    _, said = enrolment.run("jetson-1", code=2)
    assert f"{lost} is gone: restore it from the backup" in said


@pytest.mark.parametrize("damaged", ["ca.key", "ca.crt", "devices.key", "ledger.json"])
def test_what_is_damaged_is_said(enrolment: Enrolment, device: Path, damaged: str) -> None:
    (enrolment.authority / damaged).write_text('{"certificates": [{}]}')
    _, said = enrolment.run("jetson-1", code=2)
    assert f"{damaged} is damaged" in said


def test_a_backup_of_the_authoritys_folder_is_all_that_is_needed(
    enrolment: Enrolment, device: Path, tmp_path: Path
) -> None:
    enrolment.run("jetson-2")
    enrolment.run("revoke", "jetson-2")
    restored = Enrolment(tmp_path / "elsewhere")
    restored.folder.mkdir()
    subprocess.run(["cp", "-a", enrolment.authority, restored.authority], check=True)
    restored.run("renew")
    with running(restored) as cloud:
        assert refusal(cloud.port, device) == ""
        with Peer(cloud.port, device) as peer:
            assert peer.may_publish("faces/from/jetson-1")
    crls = certificates.load_crls((restored.broker / "devices.crl").read_text())
    assert [len(list(crl)) for crl in crls][1:] == [1]
