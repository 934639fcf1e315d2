"""The rooms of the house: who may import whom, and how large a module may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SERVICES = {"detector", "forwarder", "gallery", "processor"}
PACKAGES = sorted({"common", "demo", "enroll"} | SERVICES)
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LINES = 250  # of code and comments, blank ones apart


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name their package"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reaches(package: str) -> set[str]:
    """The top-level packages that a package's modules import."""
    found = {name for path in (ROOT / package).rglob("*.py") for name in imports(path)}
    return {name.partition(".")[0] for name in found}


def test_common_imports_no_service() -> None:
    assert not reaches("common") & (SERVICES | {"demo", "tests", "bench"})


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_services_never_import_each_other(service: str) -> None:
    assert not reaches(service) & ((SERVICES - {service}) | {"demo", "tests", "bench"})


def test_enrolment_knows_no_service() -> None:
    assert not reaches("enroll") & (SERVICES | {"demo", "tests", "bench"})


def test_the_demo_starts_services_and_imports_none() -> None:
    assert not reaches("demo") & SERVICES


def test_the_forwarder_does_not_know_what_it_relays() -> None:
    names = {name for path in (ROOT / "forwarder").glob("*.py") for name in imports(path)}
    assert not [name for name in names if name.startswith("common.face")]


def test_the_forwarder_needs_the_base_requirements_only() -> None:
    standard = {"__future__", "asyncio", "collections", "dataclasses", "functools", "time"}
    allowed = standard | {"typing", "common", "forwarder", "paho", "prometheus_client"}
    assert reaches("forwarder") <= allowed


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_service_has_the_same_shape(service: str) -> None:
    names = {path.name for path in (ROOT / service).glob("*.py")}
    assert {"__init__.py", "__main__.py", "settings.py", "metrics.py"} <= names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_at_one_sitting(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= LINES
