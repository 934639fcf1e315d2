"""Each decision has a number, a date and a status, and a line in the index."""

from __future__ import annotations

import re

from testing.services.process import ROOT

FOLDER = ROOT / "docs" / "decisions"
HEAD = re.compile(
    r"# (?P<number>\d+)\. (?P<title>.+)\n\n"
    r"- Date: (?P<date>\d{4}-\d\d-\d\d)\n"
    r"- Status: (?P<status>proposed|accepted|superseded by \d{4})\n"
)


def test_the_index_lists_every_decision_with_its_title_date_and_status() -> None:
    pages = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
    rows = []
    for page in pages:
        head = HEAD.match(page.read_text())
        assert head, f"{page.name} lacks title, date or status"
        number, title, date, status = head.groups()
        assert page.name.startswith(f"{int(number):04d}-"), page.name
        rows.append(f"| [{page.name[:4]}]({page.name}) | {title} | {date} | {status} |")
    index = re.findall(r"^\| \[.*$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert index == rows


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in FOLDER.glob("0*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_that_a_file_names_exists() -> None:
    names = {path.name for path in FOLDER.glob("*.md")}
    for service in ("broker", "common", "detector", "enroll", "forwarder", "gallery", "processor"):
        for path in (ROOT / service).rglob("*"):
            if path.name == "Dockerfile" or path.suffix == ".py":
                named = set(re.findall(r"decisions/([\w-]+\.md)", path.read_text()))
                assert named <= names, path
