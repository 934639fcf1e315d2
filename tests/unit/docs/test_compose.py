"""What of `.env` reaches the services in containers: every setting but those fixed there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from common.settings import Spec, iterate_specs
from docs import tables
from testing.services.process import ROOT

CSI = "docker-compose.csi.yml"  # it fixes what the camera is
SIDES = {
    "cloud": ("docker-compose.cloud.yml", "docker-compose.monitoring.yml"),
    "jetson": (
        "docker-compose.jetson.yml",
        "docker-compose.preview.yml",
        "docker-compose.webcams.yml",
        "docker-compose.homeassistant.yml",
        CSI,
        "docker-compose.monitoring.yml",
    ),
}
SERVICES = (*tables.SERVICES, *tables.COMMANDS)
LINES = 12  # of an example, at most
# Settings that containers take from elsewhere, and from where.
FIXED = {
    **dict.fromkeys(("MQTT_HOST", "MQTT_PORT"), "the broker beside it"),
    **dict.fromkeys(("MQTT_USERNAME", "MQTT_PASSWORD"), "what the edge broker has made"),
    **dict.fromkeys(("MQTT_BUNDLE", "MQTT_CA", "MQTT_CERT", "MQTT_KEY"), "what `enroll` has made"),
    **dict.fromkeys(("CLOUD_USERNAME", "CLOUD_PASSWORD"), "the certificate in CLOUD_BUNDLE"),
    **dict.fromkeys(("CLOUD_CA", "CLOUD_CERT", "CLOUD_KEY"), "the same"),
    **dict.fromkeys(("MQTT_TOPIC", "CLOUD_TOPIC"), "what the brokers' access lists name"),
    **dict.fromkeys(("HTTP_HOST", "HTTP_PORT", "METRICS_PORT"), "the image: what is published"),
    **dict.fromkeys(("OUTBOX_PATH", "GALLERY_DATA"), "the volume"),
    **dict.fromkeys(("BROKER_HOST", "BROKER_PORT"), "the broker beside it"),
    "HOMEASSISTANT_PREFIX": "what the edge broker's access list names",
    "YUNET_MODEL": "the image has it",
    "DELIVERY": "receipt: what the volume of the outbox is for",
    "INSTANCE": "the container's name: processors are scaled",
    "PREVIEW": "docker-compose.preview.yml",
}
# By service: settings whose variable has another name, since two services share a `.env`, or since
# it also says which port is published.
RENAMED = {
    "gallery": {
        "HTTP_PUBLISHED": "GALLERY_HOST",
        "HTTP_CERT": "GALLERY_CERT",
        "HTTP_KEY": "GALLERY_KEY",
    },
    "detector": {
        "HTTP_PUBLISHED": "PREVIEW_HOST",
        "HTTP_CERT": "PREVIEW_CERT",
        "HTTP_KEY": "PREVIEW_KEY",
    },
}


def specs(service: str) -> Iterator[Spec]:
    module = importlib.import_module(f"{service}.settings")
    for _, spec in iterate_specs(getattr(module, f"{service.title()}Settings")):
        yield spec


def compose(name: str) -> str:
    return (ROOT / name).read_text()


@cache
def environments() -> dict[str, dict[str, Any]]:
    """Each service's `environment`, as its compose files together set it."""
    found: dict[str, dict[str, Any]] = {}
    for name in {name for files in SIDES.values() for name in files} - {CSI}:
        for service, described in yaml.safe_load(compose(name))["services"].items():
            found.setdefault(service, {}).update(described.get("environment", {}))
    return found


@cache
def secret_files() -> dict[str, str]:
    """Where the file of each secret is, by its name."""
    found: dict[str, str] = {}
    for name in {name for files in SIDES.values() for name in files} - {CSI}:
        for secret, described in yaml.safe_load(compose(name)).get("secrets", {}).items():
            found[secret] = described["file"]
    return found


def is_passed(service: str, spec: Spec) -> bool:
    """Does the variable of the setting, or of its file, reach the service?"""
    environment, secrets = environments()[service], secret_files()
    source = RENAMED.get(service, {}).get(spec.name, spec.name)
    for suffix in ("", "_FILE") if spec.secret else ("",):
        if spec.name + suffix in environment:
            value = environment[spec.name + suffix]
            if value is None:
                return True
            mounted = re.search(r"/run/secrets/([\w-]+)", str(value))
            text = secrets[mounted[1]] if mounted else str(value)
            return f"${{{source}{suffix}:" in text
    return False


@pytest.mark.parametrize("service", SERVICES)
def test_each_setting_works_when_put_into_env(service: str) -> None:
    lost = [spec.name for spec in specs(service) if not is_passed(service, spec)]
    fixed = {"DEVICE"} if service in ("processor", "gallery") else set()  # `cloud`, as enrolled
    folders = {name for name in lost if name.endswith("_DIR")}  # the volumes of `enroll`
    assert [name for name in lost if name not in FIXED.keys() | fixed | folders] == []


def test_nothing_counts_as_fixed_that_no_service_has() -> None:
    known = {spec.name for service in SERVICES for spec in specs(service)}
    assert FIXED.keys() <= known


def read_by(files: tuple[str, ...]) -> set[str]:
    """The variables that compose files take from `.env`."""
    text = "".join(compose(name) for name in files)
    return {*re.findall(r"\$\{([A-Z_]+)", text), *re.findall(r"^ +([A-Z_]+):$", text, re.MULTILINE)}


@pytest.mark.parametrize("side", SIDES)
def test_each_variable_that_the_compose_files_read_is_explained(side: str) -> None:
    page = (tables.DOCS / "settings.md").read_text()
    more = ("deploy/swarm/compose.yml",) if side == "cloud" else ()
    read = read_by((*SIDES[side], *more))
    explained = {*re.findall(r"`([A-Z_]+)`", page)}
    assert {name for name in read if name not in explained} == set()


@pytest.mark.parametrize("side", SIDES)
def test_the_example_is_short_and_names_what_is_read(side: str) -> None:
    example = (ROOT / f".env.{side}.example").read_text()
    assert len(example.splitlines()) <= LINES
    assert "docs/settings.md" in example
    named = re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)
    assert named
    assert {*named} <= read_by(SIDES[side])


def test_nothing_must_be_set_for_a_device_that_was_given_its_file() -> None:
    assert not re.search(r"\$\{[A-Z_]+:\?", compose("docker-compose.jetson.yml"))


def test_the_example_has_what_must_be_set() -> None:
    example = (ROOT / ".env.cloud.example").read_text()
    required = re.findall(r"\$\{([A-Z_]+):\?", compose("docker-compose.cloud.yml"))
    assert required
    assert [name for name in required if not re.search(rf"^{name}=", example, re.MULTILINE)] == []
