"""Requests that nobody's page makes."""

from __future__ import annotations

import pytest

from testing.services.gallery import Admin, Gallery


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/?order=sharpest&after=9999-12-31~", None),
        ("/?order=sharpest&after=0001-01-01~", None),
        ("/more?after=WyJuZXdlc3QiLDEsIlx1ZDgwMCJd", None),
        ("/count", {"selection": {"filter": {"device": "\ud800"}}}),
        ("/delete", {"selection": {"filter": {}}, "expected": float("inf"), "added": 1}),
        ("/delete", {"selection": {"refs": ["../../etc"]}}),
        ("/count", {"selection": {"filter": {"device": ["a"]}}}),
    ],
)
def test_bad_input_is_answered_with_a_sentence(
    gallery: Gallery, admin: Admin, path: str, body: dict[str, object] | None
) -> None:
    if body is None:
        status, _ = admin.open(path)
    else:
        status, answer = admin.post(path, **body)
        assert answer["error"]
    assert status == 400
    assert "Traceback" not in gallery.log
