"""The bench of the gallery's index, in small."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.index import announcer, rows
from common.protocol.keys import DEFAULT_TEMPLATE, create_key_reader
from gallery.index.model import entry_from_announcement

PAGES = (
    *("first_page", "first_page_all", "next_page", "sharpest", "sharpest_all", "sharpest_day"),
    *("jump", "bars", "devices", "count"),
)
OTHERS = {"add_per_s", "bytes_per_face", "memory_mb", "start_s"}


def test_it_tells_what_pages_cost_while_faces_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROUNDS", 2)
    monkeypatch.setattr(rows, "ADDING", 2.0)
    told = rows.measure(tmp_path, 5000)
    assert {*told} == {"rows", *(f"{page}_ms" for page in PAGES), *OTHERS}
    assert told["rows"] == 5000
    assert all({*told[f"{page}_ms"]} == {"50", "99"} for page in PAGES)
    assert all(told[name] > 0 for name in OTHERS)


def test_what_fills_the_index_is_what_the_gallery_makes_of_announcements() -> None:
    told = announcer.announcement(7, 1_790_000_000.123, random.Random(3))
    read = create_key_reader(DEFAULT_TEMPLATE)
    assert announcer.entry(7, 1_790_000_000.123, random.Random(3)) == entry_from_announcement(
        told, read
    )
