"""The rules of the house: how rooms may depend on each other, and how large they may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from common import __version__

ROOT = Path(__file__).parents[2]
SERVICES = ("detector", "forwarder", "gallery", "processor")
PACKAGES = ("common", "demo", "doctor", "enroll", *SERVICES)
WORKSHOP = ("tests", "testing", "bench")
MODULES_IN_A_FOLDER = 14  # beside __init__.py and __main__.py
LINES_IN_A_MODULE = 400
LINES_OF_BENCH = 4750

# Inside common: which rooms each room may import. Modules that lie beside the rooms are the
# top floor: they may import every room, and no room imports them, but for settings and metrics.
COMMON = {
    "runtime": set[str](),
    "protocol": {"runtime"},
    "http": {"runtime", "settings", "service_settings"},
    "mqtt": {"runtime", "protocol", "metrics"},
    "store": {"runtime", "protocol", "settings", "service_settings"},
}

# Inside a service: which rooms and modules beside them each room may import. What lies beside
# the rooms joins them, and may import any; no room imports `service`, `pipeline` or `app`.
ROOMS = {
    "detector": {
        "capture": {"metrics", "picture", "planes"},
        "detection": {"picture", "planes"},
        "encoding": {"detection", "parsers", "picture", "planes", "metrics"},
        "tracking": {"capture", "detection", "encoding", "parsers", "picture", "planes"},
        "outbox": set[str](),
        "delivery": {"outbox", "metrics"},
        "homeassistant": set[str](),
        "preview": {"metrics", "picture", "planes"},
        "commands": {
            *("capture", "detection", "encoding", "outbox", "picture", "planes", "tracking"),
            *("camera_settings", "settings"),
        },
    },
    "gallery": {
        "index": {"metrics"},
        "auth": {"metrics"},
        "fleet": {"metrics"},
        "thumbnails": {"index", "metrics"},
        "sync": {"index", "thumbnails", "live", "store_health", "metrics"},
        "deletion": {"index", "thumbnails", "live", "store_health", "metrics"},
        "web": {
            *("auth", "deletion", "fleet", "index", "thumbnails"),
            *("live", "metrics", "state", "store_health"),
        },
    },
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {module_of(path): path for path in sorted(paths)}


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name their package"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of the product that a module imports."""
    found = set()
    for imported in imported_names(modules()[name]):
        for candidate in (imported, imported.rpartition(".")[0]):
            if candidate in modules():
                found.add(candidate)
                break
    return frozenset(found - {name})


def reach(package: str) -> set[str]:
    """The top-level packages that a package's modules import."""
    found = {
        name
        for module, path in modules().items()
        if within(module, package)
        for name in imported_names(path)
    }
    return {name.partition(".")[0] for name in found}


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@cache
def workshop() -> dict[str, Path]:
    """The modules that only tests and benches use."""
    paths = (path for package in ("bench", "testing") for path in (ROOT / package).rglob("*.py"))
    return {module_of(path): path for path in sorted(paths)}


@cache
def everything() -> dict[str, Path]:
    """The modules of the product, of the workshop and of the tests."""
    return (
        modules() | workshop() | {module_of(path): path for path in (ROOT / "tests").rglob("*.py")}
    )


def folders() -> list[Path]:
    return sorted({path.parent for path in (modules() | workshop()).values()})


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_common_imports_no_service() -> None:
    assert not reach("common") & {*SERVICES, "demo", "doctor", "enroll", *WORKSHOP}


@pytest.mark.parametrize("service", SERVICES)
def test_services_never_import_each_other(service: str) -> None:
    others = set(SERVICES) - {service}
    assert not reach(service) & (others | {"demo", "doctor", "enroll", *WORKSHOP})


def test_enrolment_knows_no_service() -> None:
    assert not reach("enroll") & {*SERVICES, "demo", "doctor", *WORKSHOP}


def test_the_doctor_knows_of_the_services_only_the_camera_and_its_settings() -> None:
    assert not reach("doctor") & ({*SERVICES, "demo", "enroll", *WORKSHOP} - {"detector"})
    looking = {"doctor.camera", "doctor.jetson"}  # the only ones that need the detector's image
    for name in modules():
        if within(name, "doctor") and name not in looking:
            assert not [one for one in imports(name) if within(one, "detector")], name


def test_the_demo_starts_services_and_imports_none() -> None:
    assert not reach("demo") & set(SERVICES)


def test_the_forwarder_does_not_know_what_it_relays() -> None:
    names = {name for name in modules() if within(name, "forwarder")}
    assert not [name for name in names if "common.protocol.face" in imports(name)]


def test_the_forwarder_needs_the_base_requirements_only() -> None:
    standard = {"__future__", "asyncio", "collections", "dataclasses", "functools", "time"}
    allowed = standard | {"typing", "common", "forwarder", "paho", "prometheus_client"}
    assert reach("forwarder") <= allowed


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_shape(service: str) -> None:
    names = {path.name for path in (ROOT / service).glob("*.py")}
    assert {"__init__.py", "__main__.py", "settings.py", "metrics.py"} <= names


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert_no_circle({name: set(imports(name)) for name in modules()})


@pytest.mark.parametrize("package", PACKAGES)
def test_no_rooms_of_a_package_import_each_other_in_a_circle(package: str) -> None:
    """A room is a folder directly below the package; a module beside the rooms is no room."""
    rooms = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()}

    def room(name: str) -> str:
        return name.split(".")[1] if "." in name else ""

    graph: dict[str, set[str]] = {name: set() for name in rooms}
    for name in modules():
        if within(name, package) and room(name) in rooms:
            inside = {room(other) for other in imports(name) if within(other, package)}
            graph[room(name)] |= inside & rooms - {room(name)}
    assert_no_circle(graph)


@pytest.mark.parametrize(
    ("package", "room"),
    [(package, room) for package, rooms in {"common": COMMON, **ROOMS}.items() for room in rooms],
)
def test_a_room_imports_what_it_may(package: str, room: str) -> None:
    allowed = {"common": COMMON, **ROOMS}[package][room] | {room}
    for name in modules():
        if within(name, f"{package}.{room}"):
            inside = {other for other in imports(name) if other.startswith(f"{package}.")}
            assert {other.split(".")[1] for other in inside} <= allowed, name


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_of_a_service_has_its_row_in_the_table(package: str) -> None:
    assert {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} == {
        *ROOMS[package]
    }


def test_only_its_front_is_imported_from_mqtt() -> None:
    """What speaks to paho and to the socket stays behind `from common.mqtt import ...`."""
    past = {
        name: behind
        for name in modules()
        if not within(name, "common.mqtt")
        and (behind := {other for other in imports(name) if other.startswith("common.mqtt.")})
    }
    assert past == {}


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_can_be_taken_in_at_a_glance(folder: Path) -> None:
    names = [path.name for path in folder.glob("*.py") if not path.name.startswith("__")]
    assert len(names) <= MODULES_IN_A_FOLDER


@pytest.mark.parametrize("name", sorted(everything()))
def test_a_module_can_be_read_at_one_sitting(name: str) -> None:
    assert len(everything()[name].read_text().splitlines()) <= LINES_IN_A_MODULE


def test_the_benches_stay_small() -> None:
    paths = (path for name, path in workshop().items() if within(name, "bench"))
    assert sum(len(path.read_text().splitlines()) for path in paths) <= LINES_OF_BENCH


def test_no_class_name_stands_twice() -> None:
    counts = Counter(
        node.name
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_name_stands_twice_in_a_package(package: str) -> None:
    names = [
        path.stem
        for name, path in modules().items()
        if within(name, package) and not path.name.startswith("__")
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("service", SERVICES)
def test_settings_are_read_without_opencv_and_numpy(service: str) -> None:
    code = f"import sys, {service}.settings; print({{'cv2', 'numpy'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def test_no_test_imports_another_and_testing_imports_none() -> None:
    """What two test modules share lies in `testing/`, or beside them under another name."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert not [name for name in imported_names(path) if ".test_" in name], path
    for path in sorted((ROOT / "testing").rglob("*.py")):
        assert not [name for name in imported_names(path) if name.startswith("tests.")], path


def test_the_version_stands_in_one_place() -> None:
    """The images take theirs from it (Makefile), as pyproject.toml and the changelog do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "common.__version__"}
    done = subprocess.run(
        ["make", "--dry-run", "images", "IMAGES=broker"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"VERSION={__version__} " in done.stdout
    released = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert not released or released[0] == __version__
