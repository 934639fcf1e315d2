"""The doctor as an operator runs it, on both sides: all is well, and then something is not."""

from __future__ import annotations

import json
from typing import Any

from testing.doctor import Diagnosis
from testing.host.wait import until
from tests.containers.compose import Project
from tests.containers.stack import DEVICE, Stack

# Whether a time server is at work, and what disk this is, is this machine's affair.
MACHINE = {"docker", "disk", "outbox", "time server"}


def examine(project: Project, code: int | None = None) -> Diagnosis:
    said = project("run", "--rm", "-T", "--quiet-pull", "doctor", "--json", code=code)
    report: dict[str, Any] = json.loads(said[said.index("{") : said.rindex("}") + 1])
    return Diagnosis(report["exit_code"], {one.pop("check"): one for one in report["checks"]})


def test_a_server_that_works_passes(stack: Stack) -> None:
    found = examine(stack.cloud)
    assert found.outcomes("failed") == set(), found
    # Its store knows no lifecycle rules, and others on this machine may be full of them.
    assert found.outcomes("warning", "skipped") <= MACHINE | {"retention"}, found
    found.says("test face", "ok", "stored as doctor/doctor/")
    assert stack.store.objects("doctor/") == {}


def test_a_device_that_works_passes_and_the_gallery_removes_its_test_face(stack: Stack) -> None:
    found = examine(stack.jetson)
    assert found.outcomes("failed") == set(), found
    assert found.outcomes("warning", "skipped") <= MACHINE, found
    found.says("camera", "ok", "the running detector gets frames")
    found.says("test face", "ok", f"stored as {DEVICE}/doctor/")
    assert "taken over" not in stack.jetson.one("forwarder").log
    until(lambda: not stack.store.objects(f"{DEVICE}/doctor/"), what="the gallery removes it")


def test_a_wrong_key_is_told_by_the_server(stack: Stack) -> None:
    name = "COS_SECRET_ACCESS_KEY_FILE"
    before = stack.cloud.env[name]
    stack.cloud.env[name] = stack.file("wrong-secret", "wrong")
    try:
        found = examine(stack.cloud, code=2)
    finally:
        stack.cloud.env[name] = before
    found.says("write", "failed", "credentials", reason="denied")


def test_an_absent_server_is_told_by_the_device(stack: Stack) -> None:
    stack.jetson.env["CLOUD_HOST"] = "vsi.invalid"
    try:
        found = examine(stack.jetson, code=2)
    finally:
        del stack.jetson.env["CLOUD_HOST"]
    found.says("server's name", "failed", "does not resolve", reason="name")
    found.says("test face", "skipped", "server")
