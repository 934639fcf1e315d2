"""The names by which pages may be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.http.exposure import Exposure
from common.http.names import HostNames, names
from testing.network.pki import Authority

KNOWN = HostNames(["Faces.Example.com.", "*.lan.example", ""])


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:9104", "faces.localhost", "localhost.:1"),
        *("127.0.0.1:8080", "192.0.2.7", "[::1]:9101", "[2001:db8::1]"),
        *("faces.example.com", "FACES.EXAMPLE.COM:443", "faces.example.com.", "nas.lan.example"),
    ],
)
def test_addresses_loopback_and_names_that_were_told_are_known(host: str) -> None:
    assert KNOWN.knows(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ":80", "rebound.example", "localhost.example:9101", "127.0.0.1.x", "example.com"),
        *("x.faces.example.com", "lan.example", "a.b.lan.example", "evil-lan.example", "x.*"),
        *("[localhost]", "[::1", "::1]", "127.0.0.1@evil.example", "evil.example/127.0.0.1"),
    ],
)
def test_no_other_name_is_known(host: str) -> None:
    assert not KNOWN.knows(host)


@pytest.mark.parametrize("days", [30, -1])
@pytest.mark.parametrize("name", ["faces.example.com", "*.example.com"])
def test_the_names_of_the_certificate_are_known_expired_or_not(
    tmp_path: Path, name: str, days: int
) -> None:
    own = Authority(tmp_path).issue("not.this.name", host=name, days=days)
    known = Exposure("0.0.0.0", "", str(own.cert), str(own.key)).host_names
    assert known.knows("faces.example.com:9104")
    assert not known.knows("not.this.name")


def test_the_names_of_the_settings_are_known() -> None:
    known = Exposure("nas", "faces.example.com", "", "", "a.example,b.example").host_names
    assert all(known.knows(name) for name in ("nas", "faces.example.com", "a.example", "b.example"))
    assert not known.knows("")


def test_names_are_read_with_commas_between_them() -> None:
    assert names("faces.example.com, nas") == "faces.example.com,nas"
    with pytest.raises(ValueError, match="host name"):
        names("https://faces.example.com")
