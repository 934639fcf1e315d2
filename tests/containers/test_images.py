"""What is in the images, and what is not."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from testing.services.process import ROOT
from tests.containers.engine import BASE, DOCKERFILES, PARTS, docker, size

pytestmark = pytest.mark.usefixtures("images")

MB = 1_000_000
LIMITS = {
    "broker": 15,
    "forwarder": 80,
    "processor": 130,
    "enroll": 100,
    "gallery": 150,
    "detector": 380,
}
HOME = "/opt/facepipe"
# What only builds need, what only developers need, and what installing leaves behind.
UNWANTED = {"gcc", "cc", "make", "git", "pip", "pip3", ".git", ".cache", "__MACOSX", "pkgcache.bin"}


def inside(image: str, *command: str) -> list[str]:
    entry, *words = command
    run = ("run", "--rm", "--network=none", "--user=0", f"--entrypoint={entry}", image)
    return docker(*run, *words).splitlines()


def files(image: str) -> set[PurePosixPath]:
    return {PurePosixPath(line) for line in inside(image, "find", "/", "-xdev", "!", "-type", "d")}


def packages(image: str) -> list[str]:
    """Of Debian and of Python, with their versions."""
    debian = inside(image, "dpkg-query", "-W")
    python = inside(image, "find", HOME, "-name", "*.dist-info")
    return sorted([*debian, *python])


@pytest.fixture(scope="module")
def base() -> set[PurePosixPath]:
    return files(BASE)


@pytest.mark.parametrize("part", PARTS)
def test_an_image_is_no_larger_than_it_has_to_be(part: str) -> None:
    more = (size(f"facepipe/{part}") - size(BASE)) / MB
    print(f"{part}: {more:.1f} MB beyond the base")
    assert more <= LIMITS[part]


@pytest.mark.parametrize("part", PARTS)
def test_an_image_holds_what_runs_and_nothing_else(part: str, base: set[PurePosixPath]) -> None:
    new = files(f"facepipe/{part}") - base
    assert not [path for path in new if UNWANTED & {*path.parts}]
    for folder in ("/var/lib/apt/lists", "/var/cache", "/var/log", "/root", "/tmp", "/home"):
        assert not [path for path in new if path.is_relative_to(folder)], folder
    own = {path.relative_to(HOME) for path in new if path.is_relative_to(HOME)}
    assert not [path for path in own if {"tests", "test", "Dockerfile"} & {*path.parts}]
    if part == "broker":
        names = {path.name for path in own}
        wanted = {"start", "healthy", "log.awk", "edge.conf", "edge.acl", "cloud.conf"}
        wanted |= {"guest.conf"}
        assert names == wanted
        assert not [path for path in new if path.name.startswith("python")]
        return
    folders = {"common", part} | ({"doctor"} if part in ("detector", "processor") else set())
    assert {path.parts[0] for path in own} == {"lib", *folders}
    sources = {path for path in own if path.parts[0] != "lib" and path.suffix != ".pyc"}
    here = {
        PurePosixPath(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.name != "Dockerfile" and path.suffix != ".pyc"
    }
    assert sources == here
    for path in own:
        if path.suffix == ".pyc":  # the container could not write it
            source = path.parent.parent / f"{path.name.partition('.')[0]}.py"
            assert source in own, f"{path} has no source"


@pytest.mark.parametrize("part", PARTS)
def test_what_runs_cannot_be_changed_by_who_runs_it(part: str) -> None:
    image = f"facepipe/{part}"
    assert not inside(image, "find", HOME, "-perm", "/022", "!", "-type", "l")
    foreign = inside(image, "find", HOME, "!", "-user", "0")
    assert all(path.endswith(".acl") for path in foreign)  # Mosquitto wants to own its access list


@pytest.mark.parametrize("part", PARTS)
def test_an_image_says_what_it_is(part: str) -> None:
    config = json.loads(docker("image", "inspect", f"facepipe/{part}:latest"))[0]["Config"]
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    assert labels["title"] == f"facepipe {part}"
    assert labels["licenses"] == "Apache-2.0"
    wanted = ("description", "version", "revision", "source")
    assert all(labels[name] not in ("", "unknown") for name in wanted), labels
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == ("NONE" if part == "enroll" else "CMD")


def test_all_images_name_one_base() -> None:
    for name in DOCKERFILES:
        lines = [line.split() for line in (ROOT / name).read_text().splitlines()]
        assert ["ARG", f"BASE={BASE}"] in lines
        stages = {line[3] for line in lines if line[:1] == ["FROM"] and len(line) == 4}
        bases = {line[1] for line in lines if line[:1] == ["FROM"]}
        assert bases - stages - {"${PART}"} == {"${BASE}"}


@pytest.mark.parametrize("part", ["broker", "processor"])
def test_two_builds_of_one_commit_install_the_same_versions(part: str) -> None:
    again = f"facepipe-test/{part}:again"
    file = "broker/Dockerfile" if part == "broker" else "Dockerfile"
    build = ("build", "--no-cache", "--quiet", "--file", file, "--tag", again)
    docker(*build, f"--build-arg=PART={part}", ".", timeout=900, DOCKER_BUILDKIT="0")
    try:
        assert packages(again) == packages(f"facepipe/{part}")
    finally:
        docker("image", "rm", again)
