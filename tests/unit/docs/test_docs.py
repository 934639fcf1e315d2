"""Documentation that cannot go stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs import tables
from testing.services.process import ROOT

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
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
    named = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", readme))
    assert named
    assert [setting for setting in named if f"`{setting}`" not in known] == []


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_the_index_leads_to_every_page_once() -> None:
    linked = re.findall(
        r"^- \[[\w.-]+\]\(([\w.-]+)\)", (DOCS / "README.md").read_text(), re.MULTILINE
    )
    pages = [path.name for path in DOCS.glob("*.md") if path.name != "README.md"]
    assert sorted(linked) == sorted(pages)


def test_each_reason_word_of_the_code_is_explained_to_operators() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    raised = re.compile(
        r"(?:ConnectionFailed|StoreError|BadImage|SourceError|NoThumb|Refused|\.fail)\(\s*\"([a-z_]+)\""
    )
    words = {word for path in CODE for word in raised.findall(path.read_text())}
    assert len(words) > 15
    assert {word for word in words if f"`{word}`" not in manual} <= {"left"}


def test_the_site_has_every_page_once_in_the_order_of_the_index() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    inside = [page for part in nav for pages in part.values() for page in listed(pages)]
    index = re.findall(
        r"^- \[[\w./-]+\]\(([\w./-]+)\)", (DOCS / "README.md").read_text(), re.MULTILINE
    )
    assert inside == ["README.md", *index]


def listed(pages: str | list[dict[str, str]]) -> list[str]:
    return [pages] if isinstance(pages, str) else [name for one in pages for name in one.values()]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page: lower case, no punctuation, hyphens."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(name if name not in found else f"{name}-1")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        other = page.parent / target if target else page
        assert other.exists(), f"{page.name}: {target}"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{page.name}: {target}#{anchor}"


def test_each_file_that_the_threat_model_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`((?:tests|broker|common|enroll|gallery|processor)/[\w./]+)`", page)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_each_page_that_the_product_refers_to_exists_with_its_heading() -> None:
    parts = (
        "broker",
        "common",
        "detector",
        "doctor",
        "enroll",
        "forwarder",
        "gallery",
        "processor",
    )
    files = [path for part in parts for path in (ROOT / part).rglob("*") if path.is_file()]
    files += [
        *ROOT.glob("docker-compose*.yml"),
        *ROOT.glob(".env.*.example"),
        ROOT / "secrets/README",
    ]
    named = set()
    for path in files:
        if path.suffix in (".py", ".html", ".conf", ".yml", ".example", ".js", "", ".md"):
            named |= {
                *re.findall(r"docs/([\w-]+\.md)(?:#([\w-]+))?", path.read_text(errors="ignore"))
            }
    assert len(named) > 10
    for page, anchor in named:
        assert (DOCS / page).exists(), page
        assert not anchor or anchor in anchors(DOCS / page), f"{page}#{anchor}"


def figures(text: str) -> set[str]:
    """Numbers with a comma in them, which are nobody's accident, but for round ones."""
    found = re.findall(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,])", text)
    return {one for one in found if not re.fullmatch(r"\d{1,3}(,?0)+", one.replace(",", ""))}


def test_measured_figures_stand_on_one_page() -> None:
    page = (DOCS / "performance.md").read_text()
    measured = figures("\n".join(line for line in page.splitlines() if line.startswith("|")))
    assert len(measured) > 10
    for other in [ROOT / "README.md", *DOCS.glob("*.md")]:
        if other.name != "performance.md":
            assert figures(other.read_text()) & measured == set(), other.name
