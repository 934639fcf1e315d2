"""The README's commands for the two machines, as they stand there, in a fresh copy for each."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import free_port, until
from testing.services.process import ROOT
from testing.store.nanio import BUCKET, KEY_ID, SECRET
from tests.containers.engine import docker
from tests.containers.stack import OpenStore

pytestmark = pytest.mark.usefixtures("images")


def commands(number: int) -> list[str]:
    """The lines of a block of the chapter on the two machines."""
    chapter = (ROOT / "README.md").read_text().split("## On a Jetson and a server")[1]
    block = re.findall(r"```sh\n(.*?)```", chapter.split("\n## ")[0], re.DOTALL)[number]
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


class Machine:
    """A copy of the repository, where somebody works as the README says."""

    def __init__(self, folder: Path, side: str) -> None:
        self.folder, self.side = folder, side
        tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(tracked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)

    def run(self, command: str, code: int = 0) -> str:
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}"
        return done.stdout

    def edit(self, **settings: object) -> None:
        """Fill in `.env`; the project's name keeps it apart from others on this machine."""
        settings["COMPOSE_PROJECT_NAME"] = f"facepipe-readme-{self.side}"
        with (self.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    def down(self) -> None:
        compose = f"docker compose -f docker-compose.{self.side}.yml --profile '*'"
        self.run(f"{compose} down --volumes --timeout 5")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    """Server and Jetson."""
    server = Machine(tmp_path / "server", "cloud")
    jetson = Machine(tmp_path / "jetson", "jetson")
    try:
        yield server, jetson
    finally:
        for machine in (jetson, server):
            machine.down()


def test_the_readmes_commands_bring_faces_into_the_bucket_and_the_doctor_agrees(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    server, jetson = machines
    gateway = docker(
        "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"
    )
    here = gateway.strip()
    with OpenStore(tmp_path) as store:
        copy_example, make_secrets, build, enrol, up = commands(0)
        server.run(copy_example)
        server.edit(
            PUBLIC_HOST=here,
            PUBLIC_PORT=free_port(),
            GALLERY_PORT=free_port(),
            COS_ENDPOINT=f"http://{here}:{store.port}",
            COS_BUCKET=BUCKET,
            # This store knows no API keys.
            COS_ACCESS_KEY_ID_FILE="./secrets/key-id",
            COS_SECRET_ACCESS_KEY_FILE="./secrets/secret",
        )
        server.run(make_secrets.partition(" && ")[0])  # what follows is an editor
        (server.folder / "secrets" / "key-id").write_text(KEY_ID)
        (server.folder / "secrets" / "secret").write_text(SECRET)
        assert "build" in build  # the fixture has built what it builds
        server.run(enrol)
        server.run(f"{up} --wait")

        shutil.move(server.folder / "jetson-1.tar", jetson.folder)
        unpack, copy_example, up = commands(1)
        jetson.run(unpack)
        jetson.run(copy_example)
        jetson.edit(CAMERA_DEVICE="", CAMERA="/media/clip.mp4", CAMERA_LOOP=1)  # no webcam here
        jetson.run(f"{up} --wait")
        until(lambda: store.objects("jetson-1/camera-0/"), 60, "faces in the bucket")

        (examine,) = commands(2)
        # Warnings: this store has no lifecycle rules, and a disk here may be anything.
        said = [
            server.run(f"{examine} || test $? = 1"),
            jetson.run(f"{examine.replace('cloud', 'jetson')} || test $? = 1"),
        ]
    assert all(re.search(r"^ok +test face +receipt after ", text, re.MULTILINE) for text in said), (
        said
    )
