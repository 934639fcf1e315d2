"""What a person forgot to set stops `up` at once, with a sentence that says what to set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.compose import Project

pytestmark = pytest.mark.usefixtures("images")

WHOLE = {
    "cloud": {
        "PUBLIC_HOST": "vsi.example.com",
        "PUBLIC_PORT": "0",  # any that is free
        "GALLERY_PORT": "0",
        "COS_ENDPOINT": "http://store.invalid",
        "COS_BUCKET": "faces",
        "COS_API_KEY_FILE": "/dev/null",
    },
    "jetson": {
        "DEVICE": "jetson-1",
        "CLOUD_HOST": "vsi.example.com",
        "CLOUD_BUNDLE": "/dev/null",
        "CAMERA": "/media/clip.mp4",
    },
}
CAMERAS = "set in .env CAMERA_DEVICE, CAMERA, CAMERA_FILE or CAMERAS"


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """One of the two, with all that has no default; apart from those of other tests."""
    made = Project(request.param, tmp_path, {}, **WHOLE[request.param])
    made.name = "facepipe-test-missing"
    yield made
    made.down()


def stops(project: Project) -> str:
    """What `up` says; nothing runs after it."""
    said = project("up", "--detach", "--no-build", code=1)
    assert [found.service for found in project.all() if found.running] == [], said
    return said


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("cloud", "PUBLIC_HOST"),
        ("cloud", "COS_ENDPOINT"),
        ("cloud", "COS_BUCKET"),
    ],
    indirect=["project"],
)
def test_a_variable_without_default(project: Project, name: str) -> None:
    project.env[name] = ""
    assert f"{name} is missing a value: set it in .env to the" in stops(project)


@pytest.mark.parametrize("project", ["cloud"], indirect=True)
@pytest.mark.parametrize(
    ("alone", "other"),
    [
        ("COS_ACCESS_KEY_ID_FILE", "COS_SECRET_ACCESS_KEY_FILE"),
        ("COS_SECRET_ACCESS_KEY_FILE", "COS_ACCESS_KEY_ID_FILE"),
    ],
)
def test_half_of_a_pair_of_keys(project: Project, alone: str, other: str) -> None:
    project.env[alone] = "/dev/null"
    assert f"set in .env {other}, too" in stops(project)


@pytest.mark.parametrize("project", ["cloud"], indirect=True)
def test_credentials_of_any_kind(project: Project) -> None:
    project.env["COS_API_KEY_FILE"] = ""
    assert f"does not exist: {project.home}/secrets/cos-api-key" in stops(project)


@pytest.mark.parametrize("project", ["jetson"], indirect=True)
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("DEVICE", "device.env"),
        ("CLOUD_HOST", "device.env"),
        ("CLOUD_BUNDLE", "cloud-bundle.pem"),
    ],
)
def test_what_the_tar_file_of_a_device_brings(project: Project, name: str, file: str) -> None:
    project.env[name] = ""
    assert f"does not exist: {project.home}/secrets/{file}" in stops(project)


@pytest.mark.parametrize("project", ["jetson"], indirect=True)
def test_a_camera(project: Project) -> None:
    project.env["CAMERA"] = ""
    assert CAMERAS in stops(project)


@pytest.mark.parametrize("project", ["jetson"], indirect=True)
@pytest.mark.parametrize("given", ["CAMERA", "CAMERA_DEVICE", "CAMERA_FILE"])
def test_any_kind_of_camera_is_enough(project: Project, given: str) -> None:
    project.env["CAMERA"] = ""
    project.env[given] = "/dev/null"
    project("create", "--no-build")


@pytest.mark.parametrize("project", ["cloud"], indirect=True)
@pytest.mark.parametrize(
    "given",
    [("COS_API_KEY_FILE",), ("COS_ACCESS_KEY_ID_FILE", "COS_SECRET_ACCESS_KEY_FILE")],
)
def test_any_kind_of_credentials_is_enough(project: Project, given: tuple[str, ...]) -> None:
    project.env["COS_API_KEY_FILE"] = ""
    project.env |= dict.fromkeys(given, "/dev/null")
    project("create", "--no-build")


@pytest.mark.parametrize("project", ["cloud"], indirect=True)
def test_a_key_in_the_folder_of_secrets_needs_no_setting(project: Project) -> None:
    project.env["COS_API_KEY_FILE"] = ""
    (project.home / "secrets" / "cos-api-key").write_text("key")
    project("create", "--no-build")


@pytest.mark.parametrize("project", ["cloud"], indirect=True)
def test_a_key_in_the_folder_of_secrets_gives_way_to_a_pair_of_keys(project: Project) -> None:
    project.env["COS_API_KEY_FILE"] = ""
    (project.home / "secrets" / "cos-api-key").write_text("key")
    pair = dict.fromkeys(("COS_ACCESS_KEY_ID_FILE", "COS_SECRET_ACCESS_KEY_FILE"), "/dev/zero")
    project.env |= pair
    secrets = json.loads(project("config", "--format", "json"))["secrets"]
    assert secrets["cos-api-key"]["file"] == secrets["gallery-cos-api-key"]["file"] == "/dev/null"


@pytest.mark.parametrize("project", ["cloud"], indirect=True)
@pytest.mark.parametrize("kind", ["api-key", "access-key-id", "secret-access-key"])
def test_the_gallery_takes_its_own_credentials_or_else_the_processors(
    project: Project, kind: str
) -> None:
    """As Compose understands it."""
    name = f"COS_{kind.upper().replace('-', '_')}_FILE"
    project.env |= {"COS_API_KEY_FILE": "", name: "/dev/zero"}
    if kind == "secret-access-key":  # which alone would not be enough
        project.env["COS_ACCESS_KEY_ID_FILE"] = "/dev/null"

    def given() -> tuple[str, str]:
        found = json.loads(project("config", "--format", "json"))
        variable = found["services"]["gallery"]["environment"][name]
        return variable, found["secrets"][f"gallery-cos-{kind}"]["file"]

    inside = f"/run/secrets/gallery-cos-{kind}"
    assert given() == (inside, "/dev/zero")
    project.env[f"GALLERY_{name}"] = "/dev/full"
    assert given() == (inside, "/dev/full")
