"""Documentation that cannot go stale."""

from __future__ import annotations

import re

import pytest

from docs import tables
from testing.services.process import ROOT

CODE = [path for part in (*tables.SERVICES, "common") for path in (ROOT / part).rglob("*.py")]


@pytest.mark.parametrize("name", tables.PAGES)
def test_the_tables_of_the_docs_say_what_the_code_says(name: str) -> None:
    written = (tables.DOCS / name).read_text()
    assert written == tables.PAGES[name](written), "run `make docs`"


def test_each_message_of_the_protocol_has_its_table() -> None:
    page = (tables.DOCS / "protocol.md").read_text()
    assert [found[2] for found in tables.TABLE.finditer(page)] == list(tables.MESSAGES)


def test_the_settings_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    known = (ROOT / "docs" / "settings.md").read_text()
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*(?==)", readme))
    named |= set(re.findall(r"^\| `([A-Z_]+)`", readme, re.MULTILINE))
    assert named
    examples = "".join(path.read_text() for path in ROOT.glob(".env.*.example"))
    for setting in named:
        assert f"`{setting.removesuffix('_FILE')}`" in known or f"\n{setting}=" in examples, setting


def test_each_reason_word_of_the_code_is_explained_to_operators() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    raised = re.compile(
        r"(?:ConnectionFailed|StoreError|BadImage|SourceError|NoThumb|Refused|\.fail)\(\s*\"([a-z_]+)\""
    )
    words = {word for path in CODE for word in raised.findall(path.read_text())}
    assert len(words) > 15
    assert {word for word in words if f"`{word}`" not in manual} <= {"left"}


def test_links_between_the_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_each_file_that_the_threat_model_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`((?:tests|broker|common|enroll|gallery|processor)/[\w./]+)`", page)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
