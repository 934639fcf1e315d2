"""Settings that would show the preview to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.settings import SettingsError, read
from detector.settings import DetectorSettings
from testing.network.pki import Authority
from testing.services.preview import PASSWORD


def problems(**settings: object) -> list[str]:
    """What is wrong with these settings, beside a preview."""
    given = {"PREVIEW": "1", **{name: str(value) for name, value in settings.items()}}
    try:
        read(DetectorSettings, given)
    except SettingsError as error:
        return error.problems
    return []


def test_a_preview_for_others_needs_password_certificate_and_another_port_for_metrics() -> None:
    password, metrics, certificate = problems(HTTP_HOST="0.0.0.0")
    assert "PREVIEW_PASSWORD" in password
    assert "HTTP_HOST=127.0.0.1" in password
    assert "METRICS_PORT" in metrics
    assert "HTTP_CERT and HTTP_KEY" in certificate
    assert "HTTP_PUBLISHED=127.0.0.1" in certificate


@pytest.mark.parametrize("host", ["192.0.2.7", "::", "jetson.example", "::ffff:192.0.2.7"])
def test_whatever_is_not_loopback_counts_as_wide(host: str) -> None:
    assert len(problems(HTTP_HOST=host)) == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_on_loopback_it_needs_nothing_more(host: str) -> None:
    assert problems(HTTP_HOST=host) == []


def test_published_on_loopback_it_needs_a_password_and_no_certificate() -> None:
    settings = {"HTTP_HOST": "0.0.0.0", "HTTP_PUBLISHED": "127.0.0.1", "METRICS_PORT": 9111}
    assert problems(**settings, PREVIEW_PASSWORD=PASSWORD) == []
    assert len(problems(**settings)) == 1
    assert len(problems(**{**settings, "HTTP_PUBLISHED": "0.0.0.0"})) == 2


def test_settings_that_cannot_be_meant_are_named(tmp_path: Path) -> None:
    own, other = (Authority(tmp_path).issue("jetson-1") for _ in range(2))
    assert "8 characters" in problems(PREVIEW_PASSWORD="short")[0]
    assert "go together" in problems(HTTP_CERT=own.cert)[0]
    assert "needs METRICS_PORT" in problems(HTTP_CERT=own.cert, HTTP_KEY=own.key)[0]
    pair = {"HTTP_CERT": own.cert, "HTTP_KEY": other.key, "METRICS_PORT": 9111}
    assert "cannot be used" in problems(**pair)[0]
    own.key.write_text(own.encrypted_key_pem)
    assert "cannot be used" in problems(**{**pair, "HTTP_KEY": own.key})[0]
    assert "must differ" in problems(HTTP_PORT=9101, METRICS_PORT=9101)[0]


def test_without_preview_its_settings_ask_for_nothing() -> None:
    assert problems(PREVIEW="0", HTTP_HOST="0.0.0.0", HTTP_PUBLISHED="192.0.2.7") == []
