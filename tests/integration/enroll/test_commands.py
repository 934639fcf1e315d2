"""Names, settings and commands, and what is said of those that cannot be."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from common.settings import SettingsError, read
from enroll import certificates
from enroll.settings import EnrollSettings
from testing.services.enrolment import Enrolment


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["Jetson 1"], "'Jetson 1' must be 1 to 63 characters of a-z, 0-9 and -"),
        (["../../etc"], "must be 1 to 63"),
        (["jetson+1"], "must be 1 to 63"),
        (["x" * 64], "must be 1 to 63"),
        (["processor"], "'processor' is reserved for a service"),
        (["broker"], "'broker' is reserved for a service"),
        (["enroll"], "is reserved for a service"),
        (["cloud"], "is reserved for a service"),
        (["gallery"], "is reserved for a service"),
        (["unknown"], "not be 'unknown'"),
        (["revoke", "broker"], "is reserved for a service"),
        (["revoke", "jetson-9"], "there is no device 'jetson-9'"),
        (["revoke"], "usage: python -m enroll [--pem] NAME"),
        (["--pem"], "usage: "),
        (["--pem", "list"], "--pem goes with the NAME of a device"),
        (["a", "b"], "usage: "),
        ([], "usage: "),
    ],
)
def test_wrong_words_end_it_with_2_and_a_sentence(
    enrolment: Enrolment, words: list[str], sentence: str
) -> None:
    out, said = enrolment.run(*words, code=2)
    assert sentence in said
    assert not out
    assert not (enrolment.authority / "ledger.json").exists() or words[0] == "revoke"


def test_help_names_every_word_and_setting(enrolment: Enrolment) -> None:
    out, _ = enrolment.run("--help")
    for word in (
        "NAME",
        "--pem NAME",
        "revoke NAME",
        "list",
        "renew",
        "retire",
        "PUBLIC_HOST",
        "SERVICE_DAYS",
    ):
        assert word in out


@pytest.mark.parametrize(
    "wrong",
    ["", "https://x.example", "x.example:8883", "*.x.example", "a,,b", "300.1.2.3", "fe80::1%eth0"],
)
def test_a_public_host_that_is_none_is_named(enrolment: Enrolment, wrong: str) -> None:
    _, said = enrolment.run("jetson-1", PUBLIC_HOST=wrong, code=2)
    assert said.startswith("enroll: PUBLIC_HOST ")


def test_names_are_brought_into_one_spelling() -> None:
    value = "VSI.example.com., 203.0.113.7,2001:DB8:0::1,vsi.example.com"
    hosts = read(EnrollSettings, {"PUBLIC_HOST": value}).public_host
    assert hosts == ("vsi.example.com", "203.0.113.7", "2001:db8::1")


def test_a_folder_that_cannot_be_written_is_named(enrolment: Enrolment, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, said = enrolment.run("jetson-1", AUTHORITY_DIR=str(tmp_path / "file" / "x"), code=2)
    assert f"{tmp_path}/file/x cannot be written" in said


def test_a_file_that_cannot_be_written_out_is_said(enrolment: Enrolment) -> None:
    with open("/dev/full", "w") as full, enrolment.start("jetson-1", stdout=full) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "the file could not be written: No space left on device; run this again" in said


def test_the_list_says_who_since_when_and_until_when(enrolment: Enrolment) -> None:
    out, said = enrolment.run("list")
    assert out.split() == ["NAME", "SINCE", "UNTIL", "REVOKED", "AUTHORITY"]
    assert "no device is enrolled yet" in said
    days = {f"{certificates.now():%Y-%m-%d}"}  # two, if midnight passes meanwhile
    enrolment.run("jetson-1")
    enrolment.run("jetson-1")
    enrolment.run("jetson-2")
    enrolment.run("revoke", "jetson-2")
    days.add(f"{certificates.now():%Y-%m-%d}")
    rows = [line.split() for line in enrolment.run("list")[0].splitlines()[1:]]
    devices = ["jetson-1", "jetson-1", "jetson-2"]
    assert [row[0] for row in rows] == ["broker", "broker", "gallery", *devices, "processor"]
    assert [row[4] for row in rows] == ["root", *["services"] * 2, *["devices"] * 3, "services"]
    name, since, until, revoked, _ = rows[3]
    assert (name, revoked) == ("jetson-1", "-")
    lasts = datetime.date.fromisoformat(until) - datetime.date.fromisoformat(since)
    assert lasts == datetime.timedelta(days=365)
    assert {since, rows[5][3]} <= days


def test_settings_are_read_before_anything_is_made() -> None:
    with pytest.raises(SettingsError) as caught:
        read(EnrollSettings, {"DEVICE_DAYS": "0", "BROKER_PORT": "x"})
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "PUBLIC_HOST",
        "BROKER_PORT",
        "DEVICE_DAYS",
    ]
