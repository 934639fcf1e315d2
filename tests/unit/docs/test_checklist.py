"""The checklist of what can go wrong names tests that are there."""

from __future__ import annotations

import re

from testing.services.process import ROOT

TESTS = ROOT / "tests"
PAGE = (ROOT / "docs" / "pitfalls-checklist.md").read_text()


def test_each_test_that_the_checklist_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 60
    for file, name in named:
        text = (TESTS / file).read_text()
        assert re.search(rf"^(def {name}\(|{name} = )", text, re.MULTILINE), f"{file}::{name}"


def test_each_line_of_the_checklist_has_a_test_or_a_reason() -> None:
    lines = re.findall(r"^\| ([ABC]\d+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    numbers = [number for number, _, _ in lines]
    whole = [
        f"{part}{n}" for part, last in (("A", 14), ("B", 17), ("C", 15)) for n in range(1, last + 1)
    ]
    assert numbers == whole
    assert all("::" in how or len(how) > 60 for _, _, how in lines)
