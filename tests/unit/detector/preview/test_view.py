"""The live preview's view: what is kept and encoded, and while nobody looks, nothing."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from common.runtime.health import Health
from detector.picture import Picture
from detector.preview.parts import Mark, verdicts
from detector.preview.view import FACES, Preview
from testing.clips.clips import Image
from testing.host.wait import until


def test_candidates_come_with_the_judges_verdict_and_faces_without() -> None:
    candidate = Mark((1, 2, 3, 4), 8, 0.6, 0.5, confirmed=False, sent=False, verdict="0.6 of 0.8")
    assert verdicts([mark(7), candidate]) == {"8": "0.6 of 0.8"}


def blank() -> Image:
    return np.zeros((90, 160, 3), np.uint8)


def mark(track: int, sent: bool = False) -> Mark:
    return Mark((1, 2, 3, 4), track, 9.0, 0.5, confirmed=True, sent=sent)


def frames(parts: Iterator[bytes]) -> Iterator[bytes]:
    return (part for part in parts if b'"kind": "frame"' in part)


def test_while_nobody_looks_no_picture_is_even_touched() -> None:
    preview = Preview(Health())
    assert not preview.watched
    preview.show(None, None, None)  # type: ignore[arg-type] # whatever looked at them would fail
    preview.show_face(b"no PNG", {})
    with preview.watch() as parts:
        assert preview.watched
        next(parts)
        assert b'"kind": "state"' in next(parts)  # and neither a picture nor a face before
    assert not preview.watched


def test_nothing_is_kept_for_the_next_viewer_after_the_last_has_left() -> None:
    preview = Preview(Health())
    png = cv2.imencode(".png", blank())[1].tobytes()
    with preview.watch() as parts:
        preview.show(Picture.from_bgr(blank()), [], {})
        preview.show_face(png, {})
        assert next(frames(parts))
    with preview.watch() as parts:
        assert [b'"kind": "state"' in part for part, _ in zip(parts, range(3), strict=False)] == [
            False,
            True,
            True,
        ]


def test_no_more_than_the_last_faces_are_kept() -> None:
    preview = Preview(Health())
    png = cv2.imencode(".png", blank())[1].tobytes()
    last = f'"track": "{3 * FACES - 1}"'.encode()

    def faces_until_the_last(parts: Iterator[bytes]) -> int:
        count = 0
        for part in parts:
            count += b'"kind": "face"' in part
            if last in part:
                return count
        raise AssertionError("the stream has ended")

    with preview.watch() as early:
        for number in range(3 * FACES):
            preview.show_face(png, {"track": str(number)})
        faces_until_the_last(early)
        with preview.watch() as late:
            assert 1 <= faces_until_the_last(late) <= FACES


def test_a_shot_sent_between_two_pictures_is_seen_in_the_next() -> None:
    preview = Preview(Health())
    with preview.watch() as parts:
        preview.show(Picture.from_bgr(blank()), [mark(7)], {})
        preview.show(Picture.from_bgr(blank()), [mark(7, sent=True)], {})  # too soon to be shown

        def flashes() -> bool:
            preview.show(Picture.from_bgr(blank()), [mark(7)], {})
            return b'"sent": true' in next(parts)

        assert until(flashes)


def test_figures_that_are_no_numbers_do_not_break_the_page() -> None:
    preview = Preview(Health())
    with preview.watch() as parts:
        preview.show(
            Picture.from_bgr(blank()), [], {"a": float("nan"), "b": float("inf"), "c": 1.0}
        )
        assert b'"figures": {"a": null, "b": null, "c": 1.0}' in next(frames(parts))
