"""The gallery as a process, and somebody who has signed in to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from gallery.auth import passwords
from gallery.auth.users import Account, User
from testing.host.wait import until
from testing.services.process import Service
from testing.services.visitor import Visitor

DELETED = "facepipe_gallery_objects_deleted_total"
PASSWORD = "correct horse battery"
HASH = passwords.hash_password(PASSWORD)
USERS = "\n".join(
    Account(user, HASH).line for user in (User("anna", "admin"), User("vic", "viewer"))
)


class Bucketed(Protocol):
    """A store, of whatever kind."""

    @property
    def settings(self) -> dict[str, str]: ...


class Gallery(Service):
    """With two users: anna, who may delete, and vic, who may look."""

    def __init__(self, store: Bucketed, data: Path, **settings: object) -> None:
        own = {"METRICS_PORT": 0, "GALLERY_DATA": data, "GALLERY_USERS": USERS}
        super().__init__("gallery", **{**own, **store.settings, **settings})

    @property
    def at(self) -> str:
        self.says("the gallery is on")
        places: list[str] = re.findall(r"the gallery is on (https?://\S+)/", self.log)
        return places[-1]

    def admin(self, name: str = "anna") -> Admin:
        admin = Admin(self.at)
        assert admin.log_in(name, PASSWORD) == 200
        return admin

    def start_again(self) -> None:
        """kill -9, and from the beginning, until all of the bucket has been listed."""
        listed, on = self.log.count(" listed "), self.log.count("the gallery is on")
        self.signal(signal.SIGKILL)
        self.wait()
        self.start()
        until(lambda: self.log.count("the gallery is on") > on, what="it is back")
        until(lambda: self.log.count(" listed ") > listed, what="it has listed the bucket")


class Admin(Visitor):
    """Does by JSON what the page's script does."""

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", "Origin": self.url}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def count(self, **selection: Any) -> dict[str, Any]:
        status, answer = self.post("/count", selection=selection)
        assert status == 200, answer
        return answer

    def delete(self, count: dict[str, Any] | None = None, **selection: Any) -> dict[str, Any]:
        """What the page does: count, confirm, and wait until it is done."""
        count = count or self.count(**selection)
        asked = {"selection": selection, "expected": count["count"], "added": count["added"]}
        status, job = self.post("/delete", **asked)
        assert status == 202, job

        def over() -> dict[str, Any] | None:
            told: dict[str, Any] = json.loads(self.open(f"/jobs/{job['id']}")[1])
            return told if told["state"] != "running" else None

        return until(over, 30, "it is deleted") or {}

    def facts(self, ref: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.open(f"/face/{ref}.json")[1])
        return told

    @contextlib.contextmanager
    def live(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Events of an open page: kind and data."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
        where = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(where.netloc, timeout=20)
        connection.request("GET", "/live", headers={"Cookie": cookies})
        answer = connection.getresponse()
        assert answer.status == 200
        try:
            yield _events(answer)
        finally:
            answer.close()
            connection.close()


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in answer:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)
