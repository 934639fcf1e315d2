"""The one file that a device needs: what is in it, and who may read it where it is unpacked."""

from __future__ import annotations

import subprocess
from pathlib import Path

from enroll import package
from testing.host.disk import needs_root
from testing.services.enrolment import Enrolment, certificate, unpack


def unpack_at(folder: Path, packed: str) -> Path:
    """As a person does; the folder of what came out."""
    folder.mkdir(exist_ok=True)
    (folder / "jetson-1.tar").write_text(packed)
    subprocess.run(["tar", "-xf", "jetson-1.tar"], cwd=folder, check=True, timeout=20)
    return folder / package.FOLDER


def test_a_device_is_given_its_name_the_servers_address_and_its_bundle(
    enrolment: Enrolment,
) -> None:
    hosts = "vsi.example.com,203.0.113.7"
    files = unpack(enrolment.run("jetson-1", PUBLIC_HOST=hosts, PUBLIC_PORT="443")[0])
    assert sorted(files) == sorted((package.SETTINGS, package.BUNDLE))
    settings = [line for line in files[package.SETTINGS].splitlines() if line[0] != "#"]
    assert settings == [
        "DEVICE=jetson-1",
        "CLOUD_HOST=vsi.example.com",
        "CLOUD_PORT=443",
        "CLOUD_TOPIC=faces/from/jetson-1",
    ]


def test_other_clients_get_the_bundle_alone(enrolment: Enrolment, tmp_path: Path) -> None:
    out, _ = enrolment.run("--pem", "guest-1")
    bundle = tmp_path / "guest-1.pem"
    bundle.write_text(out)
    assert out.startswith("-----BEGIN ")
    assert "CN=guest-1" in certificate(bundle).subject.rfc4514_string()


def test_unpacked_files_are_out_of_reach_for_others_by_their_folder(
    enrolment: Enrolment, tmp_path: Path
) -> None:
    secrets = unpack_at(tmp_path / "jetson", enrolment.run("jetson-1")[0])
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in secrets.iterdir()} == {0o644}


def test_a_renewed_device_is_unpacked_over_what_was_there(
    enrolment: Enrolment, tmp_path: Path
) -> None:
    secrets = unpack_at(tmp_path / "jetson", enrolment.run("jetson-1")[0])
    secrets.chmod(0o755)  # as a checkout has it
    (secrets / "camera-password").write_text("mine")
    before = certificate(tmp_path / "jetson" / package.BUNDLE)
    packed, said = enrolment.run("jetson-1")
    unpack_at(tmp_path / "jetson", packed)
    assert "restart forwarder" in said
    assert certificate(tmp_path / "jetson" / package.BUNDLE) != before
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert (secrets / "camera-password").read_text() == "mine"


def test_unpacked_by_root_the_files_are_roots(enrolment: Enrolment, tmp_path: Path) -> None:
    needs_root(["true"])
    secrets = unpack_at(tmp_path / "jetson", enrolment.run("jetson-1")[0])
    assert {path.stat().st_uid for path in (secrets, *secrets.iterdir())} == {0}
