"""Where a face stands in the bucket: from the face alone, and never out of its place."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol import keys
from common.protocol.face import PROPERTIES

FACTS_OF_A_FACE = {"device": "box-1", "camera": "door", "id": "0123456789abcdef"}
CAPTURED = datetime.datetime(2026, 3, 1, 23, 59, 59, 123456, datetime.UTC).timestamp()


@pytest.mark.parametrize(
    ("template", "key"),
    [
        (keys.DEFAULT_TEMPLATE, "box-1/door/2026-03-01/face_1772409599123_0123456789abcdef.png"),
        ("{device}/{id}", "box-1/0123456789abcdef"),
        ("{device}/{id}.png", "box-1/0123456789abcdef.png"),
        ("{date}/{hour}/{device}/{id}.png", "2026-03-01/23/box-1/0123456789abcdef.png"),
        (
            "a=b/{device}/..d!'@,+/{unix_ms}-{id}",
            "a=b/box-1/..d!'@,+/1772409599123-0123456789abcdef",
        ),
    ],
)
def test_a_key_is_made_by_the_template(template: str, key: str) -> None:
    assert keys.format_key(keys.parse_template(template), FACTS_OF_A_FACE, CAPTURED) == key


@pytest.mark.parametrize(
    "value",
    [
        "{device}/{date}.png",
        "{id}.png",  # another device could send a face with the same id
        "{device}-{id}.png",  # and so with one whose name goes on where this one's ends
        "x{device}/{id}.png",
        "",
        "{id}/{",
        "{}/{id}",
        "{0}/{id}",
        "{name}/{id}",
        "{id.__class__}",
        "{id[0]}",
        "{id!r}",
        "{id:>99999999}",
        "{device:{camera}}/{id}",
        "{{id}}",
        "/{id}",
        "{id}/",
        "a//{id}",
        "../{id}",
        "a/../{id}",
        "{device}/./{id}",
        "..\\{id}",
        "%2e%2e/{id}",
        "a\0/{id}",
        "a\n/{id}",
        "a b/{id}",
        "gesicht-ä/{id}",
        "~/{id}",
        "rejected/{id}",
        ".facepipe/{id}",
        ".nanio-meta/{id}",
        "x" * 1020 + "{id}",
        "{id}" * 17,
    ],
)
def test_a_template_with_a_trick_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|may|must)"):
        keys.parse_template(value)


PIECES = [
    "{id}",
    "{device}",
    "{date}",
    "/",
    "//",
    ".",
    "..",
    "a",
    "rejected",
    ".facepipe",
    "{",
    "ä",
]


@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_whatever_template_is_taken_makes_keys_that_stay_in_place(pieces: list[str]) -> None:
    value = "".join(pieces)
    try:
        keys.parse_template(value)
    except ValueError:
        return
    key = keys.format_key(value, FACTS_OF_A_FACE, CAPTURED)
    assert FACTS_OF_A_FACE["id"] in key
    assert not {"", ".", ".."} & set(key.split("/"))
    assert key.split("/")[0] not in ("rejected", ".facepipe")
    assert key.isascii()
    assert key.isprintable()


@given(
    st.fixed_dictionaries(
        {name: st.from_regex(PROPERTIES[name].grammar, fullmatch=True) for name in FACTS_OF_A_FACE}
    ),
    st.floats(0, 253_370_764_799),
)
def test_every_face_has_a_key_that_s3_takes(facts: dict[str, str], captured: float) -> None:
    key = keys.format_key(keys.parse_template("{hour}/" + keys.DEFAULT_TEMPLATE), facts, captured)
    assert key.endswith(f"_{facts['id']}.png")
    assert len(key.encode()) <= 1024
    assert key == keys.format_key("{hour}/" + keys.DEFAULT_TEMPLATE, facts, captured)


def test_what_is_rejected_stands_apart_by_its_reason() -> None:
    assert keys.rejected_key("box-1", "bad_crc", "0123") == "rejected/box-1/bad_crc_0123"
