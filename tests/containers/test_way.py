"""The way of a face through both compose files, as two machines would run them."""

from __future__ import annotations

from tests.containers.stack import Stack


def test_every_face_of_the_clip_is_in_the_bucket(stack: Stack) -> None:
    stack.check()
    assert stack.books()["captured"] > 8  # the best of each second
