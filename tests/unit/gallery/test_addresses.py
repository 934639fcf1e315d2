"""Addresses in pages and scripts, which have to lead somewhere below a path of a proxy's, too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gallery.auth.proxy import without_base
from testing.services.process import ROOT

TEMPLATES = sorted((ROOT / "gallery" / "templates").iterdir())
SCRIPTS = sorted((ROOT / "gallery" / "static").glob("*.js"))
OWN = re.compile(r"""["'`]/[a-z?$"'`]""")  # an address of the gallery, from the root
ASKED = re.compile(r"""(?:\bask\(\s*|const path = .*=> )$""")  # by page.js, which knows the base
FOR_ASK = re.compile(r"\bdata-(?:known|days|more)=$")  # what scripts hand to `ask`


@pytest.mark.parametrize("path", [*TEMPLATES, *SCRIPTS], ids=lambda path: path.name)
def test_each_address_of_ours_begins_with_the_base(path: Path) -> None:
    text = path.read_text()
    bare = [
        text[found.start() - 40 : found.end() + 20]
        for found in OWN.finditer(text)
        if not ASKED.search(text[: found.start()])
        and not FOR_ASK.search(text[: found.start()])
        and not text[: found.start()].endswith("base ~ ")
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/faces/", "/"),
        ("/faces", "/"),
        ("/faces?day=2026-11-24", "/?day=2026-11-24"),
        ("/faces/face/1", "/face/1"),
        ("/face/1", "/face/1"),
        ("/facesque", "/facesque"),
        ("/faces//evil.example", "//evil.example"),  # which is_local_path refuses
    ],
)
def test_a_path_is_known_with_and_without_the_base(asked: str, path: str) -> None:
    assert without_base(asked, "/faces") == path
    assert without_base(asked, "") == asked
