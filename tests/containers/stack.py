"""Both projects, that meet only through the published port, and an S3 server beside them."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Self

from enroll import package
from gallery.auth import passwords
from testing.host.wait import free_port, until
from testing.services.detector import balance, books
from testing.services.process import ROOT
from testing.services.visitor import Visitor
from testing.store.nanio import BUCKET, KEY_ID, SECRET, Store
from tests.containers.compose import Project

DEVICE = "jetson-1"
USER, PASSWORD = "anna", "ladder-of-eleven-rungs"  # of the gallery
OUTSIDE = "host.docker.internal"  # this machine, as the containers know it
KNOWS_OUTSIDE = {"extra_hosts": [f"{OUTSIDE}:host-gateway"]}


class OpenStore(Store):
    """Reached from containers, too."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.command[self.command.index("127.0.0.1")] = "0.0.0.0"


class Stack:
    """Use in `with`. Several tests share one: each leaves it healthy, and says what it changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.gallery_port = free_port()
        self.store = OpenStore(folder)
        self.cloud = Project(
            "cloud",
            folder,
            {"services": dict.fromkeys(("processor", "gallery", "doctor"), KNOWS_OUTSIDE)},
            PUBLIC_HOST=OUTSIDE,
            PUBLIC_PORT=str(self.port),
            COS_ENDPOINT=f"http://{OUTSIDE}:{self.store.port}",
            COS_BUCKET=BUCKET,
            COS_ACCESS_KEY_ID_FILE=self.file("key-id", KEY_ID),
            COS_SECRET_ACCESS_KEY_FILE=self.file("secret", SECRET),
            GALLERY_PORT=str(self.gallery_port),
            GALLERY_USERS_FILE=self.file(
                "users", f"{USER}:admin:{passwords.hash_password(PASSWORD)}\n"
            ),
        )
        self.jetson = Project(
            "jetson",
            folder,
            {"services": dict.fromkeys(("forwarder", "doctor"), KNOWS_OUTSIDE)},
            CAMERA="/media/clip.mp4",
            MEDIA_DIR=str(ROOT / "demo"),
        )

    @property
    def projects(self) -> tuple[Project, Project]:
        return self.jetson, self.cloud

    def file(self, name: str, content: str) -> str:
        """A file that the containers' user can read; its path."""
        path = self.folder / name
        path.write_text(content)
        path.chmod(0o644)
        return str(path)

    def __enter__(self) -> Self:
        self.store.__enter__()
        try:
            self._up()
        except BaseException:
            self.show()
            self.__exit__()
            raise
        return self

    def _up(self) -> None:
        for project in self.projects:
            project.down()  # what an earlier run has left
        self.enrol(DEVICE)
        self.cloud.up()
        self.jetson.up()

    def __exit__(self, *_: object) -> None:
        for project in self.projects:
            project.down()
        self.store.__exit__(None, None, None)

    def show(self) -> None:
        for project in self.projects:
            print(project("ps", "--all", code=None), file=sys.stderr)
            print(project("logs", "--no-color", "--timestamps", code=None), file=sys.stderr)

    def enrol(self, device: str) -> Path:
        """Unpack what a device is given, in the place of the Jetson's repository; its bundle."""
        packed, _ = self.cloud.enroll(device)
        home = self.jetson.home if device == DEVICE else self.folder / device
        home.mkdir(exist_ok=True)
        unpack = ["tar", "-x", "-f", "-", "-C", str(home)]
        subprocess.run(unpack, input=packed, text=True, check=True, timeout=20)
        return home / package.BUNDLE

    def visitor(self, scheme: str = "http", context: ssl.SSLContext | None = None) -> Visitor:
        """Somebody on this machine, not logged in."""
        return Visitor(f"{scheme}://127.0.0.1:{self.gallery_port}", context)

    def plays(self, loop: bool) -> None:
        """The clip begins anew: again and again, or once."""
        self.jetson.env["CAMERA_LOOP"] = str(int(loop))
        self.jetson.up("--force-recreate", "--no-deps", "detector")

    def books(self) -> dict[str, float]:
        return books(self.jetson.one("detector"))

    def metric(self, service: str, name: str, **labels: str) -> float:
        """The sum over all containers of a service."""
        found = [one for project in self.projects for one in project.all(service)]
        return sum(one.metric(name, **labels) for one in found)

    def captures(self, count: int) -> None:
        """Wait until so many more faces are captured."""
        goal = self.books()["captured"] + count
        until(lambda: self.books()["captured"] >= goal, 60, f"{count} more faces are captured")

    def settles(self, seconds: float = 90.0) -> dict[str, float]:
        """With the clip at its end: wait until the fate of each face is known. The books."""
        says = "the file ended"
        until(lambda: says in self.jetson.one("detector").log, 60, says)

        def settled() -> dict[str, float]:
            now = self.books()
            assert balance(now), now
            return {} if now["waiting"] else now

        return until(settled, seconds, "the fate of each face is known")

    def stored(self) -> list[str]:
        """The id of each face of the device in the bucket."""
        keys = self.store.objects(f"{DEVICE}/")
        return [key.rpartition("_")[2].removesuffix(".png") for key in keys if key.endswith(".png")]

    def check(self) -> None:
        """Every face ever captured is in the bucket, once."""
        found, stored = self.settles(), self.stored()
        assert (found["dropped"], found["rejected"]) == (0, 0), found
        assert len(stored) == len(set(stored)) == found["captured"], found
