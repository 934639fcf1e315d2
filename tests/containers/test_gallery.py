"""The gallery in its container: who can open it, and what is seen there."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.host.wait import until
from testing.network.pki import Authority
from testing.services.process import ROOT
from testing.services.visitor import Visitor
from tests.containers.stack import DEVICE, PASSWORD, USER, Stack


@pytest.fixture
def changed(stack: Stack) -> Iterator[Stack]:
    """Its gallery may be given other settings, and has the usual ones afterwards."""
    before = dict(stack.cloud.env)
    yield stack
    stack.cloud.env.clear()
    stack.cloud.env.update(before)
    stack.cloud.up()


def command(stack: Stack, *words: str, said: str = "") -> tuple[int, str, str]:
    """What `docker compose run` of the gallery ends with, prints and says."""
    run = ["docker", *stack.cloud.command(), "run", "--rm", "-T", "--no-deps", *words]
    done = subprocess.run(
        run, cwd=ROOT, check=False, capture_output=True, text=True, input=said, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def test_every_face_of_the_clip_can_be_looked_at(stack: Stack) -> None:
    stack.check()
    visitor = stack.visitor()
    assert visitor.log_in(USER, PASSWORD) == 200
    (ref, *_) = until(lambda: visitor.faces(DEVICE), what="faces on its first page")
    assert visitor.image(ref) in stack.store.objects(f"{DEVICE}/").values()
    indexed = stack.cloud.one("gallery").metric("facepipe_gallery_faces_indexed")
    assert indexed >= len(stack.stored())


def test_a_face_that_is_stored_now_is_there_at_once(stack: Stack) -> None:
    visitor = stack.visitor()
    visitor.log_in(USER, PASSWORD)
    before = visitor.faces(DEVICE)[:1]
    stack.plays(loop=False)
    until(lambda: visitor.faces(DEVICE)[:1] != before, 60, "a new face comes first")
    stack.check()


def test_without_a_password_nothing_is_seen(stack: Stack) -> None:
    visitor = stack.visitor()
    ref = "0" * 20
    for path in ("/fleet/samples", f"/image/{ref}", f"/thumb/{ref}", f"/face/{ref}.json", "/live"):
        assert visitor.open(path)[0] == 401, path
    assert b'type="password"' in visitor.open("/", accept="text/html")[1]
    assert visitor.log_in(USER, "something else") in (401, 403)
    assert visitor.open(f"/image/{ref}")[0] == 401


def test_health_and_metrics_are_not_on_the_published_port(stack: Stack) -> None:
    for path in ("/healthz", "/metrics"):
        assert b"facepipe_" not in stack.visitor().open(path)[1]


def test_without_named_users_the_first_password_is_in_the_log(changed: Stack) -> None:
    changed.cloud.env["GALLERY_USERS_FILE"] = ""
    changed.cloud.up("gallery")
    found = re.search(r"the user (\w+) with the password (\S+)", changed.cloud.one("gallery").log)
    assert found
    assert changed.visitor().log_in(found[1], found[2]) == 200
    changed.cloud("restart", "gallery")
    gallery = changed.cloud.one("gallery")
    gallery.becomes_healthy()
    assert "with the password" not in gallery.log
    assert changed.visitor().log_in(found[1], found[2]) == 200


def test_a_user_is_added_by_a_line_in_a_file(changed: Stack) -> None:
    password = "a bridge of nine arches"
    words = ("gallery", "--add-user", "berta", "--role", "viewer")
    code, line, said = command(changed, *words, said=f"{password}\n")
    assert code == 0, said
    assert re.fullmatch(r"berta:viewer:\$argon2id\$\S+\n", line)
    users = Path(changed.cloud.env["GALLERY_USERS_FILE"])
    before = users.read_text()
    try:
        users.write_text(before + line)
        changed.cloud("restart", "gallery")
        changed.cloud.one("gallery").becomes_healthy()
        assert changed.visitor().log_in("berta", password) == 200
        assert changed.visitor().log_in(USER, PASSWORD) == 200
    finally:
        users.write_text(before)


def test_beyond_this_machine_it_wants_a_certificate(stack: Stack) -> None:
    code, _, said = command(stack, "-e", "HTTP_PUBLISHED=0.0.0.0", "gallery")
    assert code == 2
    assert "HTTP_CERT" in said


def test_with_a_certificate_it_speaks_tls(changed: Stack, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    own = authority.issue("gallery", host="127.0.0.1")
    changed.cloud.env |= {
        "GALLERY_CERT": changed.file("gallery.crt", own.pem),
        "GALLERY_KEY": changed.file("gallery.key", own.key_pem),
        "GALLERY_HOST": "0.0.0.0",
    }
    changed.cloud.up("gallery")
    context = ssl.create_default_context(cadata=authority.pem)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    visitor: Visitor = changed.visitor("https", context=context)
    assert visitor.log_in(USER, PASSWORD) == 200
    assert visitor.faces()
    container = changed.cloud.one("gallery")
    assert container.health == "healthy"
