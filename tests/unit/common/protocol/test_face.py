"""Ids that are unique and in order of time, and the grammar of a face's properties."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.face import (
    METADATA_LIMIT,
    PROPERTIES,
    PROPERTIES_LIMIT,
    BadProperty,
    Face,
    Ids,
)
from common.protocol.topics import Topics
from testing.mqtt.publish import unpack

GOOD = {
    "id": "0192f0c1a2b37c4d8e5f60718293a4b5",
    "device": "box-1",
    "camera": "front-door",
    "captured": "2026-01-02T03:04:05.678901Z",
    "clock": "set",
    "frame": "1920x1080",
    "frame_index": "17",
    "face": "100,200,80,80",
    "box": "-4,180,120,120",
    "engine": "haar",
    "score": "12.5",
    "sharpness": "345.125",
    "quality": "0.875",
    "track": "a1b2-3",
    "scale": "0.5",
}


def check(properties: Iterable[tuple[str, str]]) -> dict[str, str]:
    return Face.decode(b"", properties).facts


def test_ids_differ_and_rise_within_one_millisecond() -> None:
    ids = Ids(lambda: 1_700_000_000_000_000_000)
    made = [ids.next() for _ in range(5000)]
    assert made == sorted(set(made))


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=50))
def test_ids_rise_even_when_the_clock_goes_back(milliseconds: list[int]) -> None:
    clock = iter(milliseconds)
    ids = Ids(lambda: next(clock) * 1_000_000)
    made = [ids.next() for _ in milliseconds]
    assert made == sorted(set(made))
    assert all(PROPERTIES["id"].grammar.fullmatch(id) for id in made)


def test_an_id_begins_with_the_time_and_is_a_uuid_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    id = Ids().next()
    after = time.time_ns() // 1_000_000
    assert before <= int(id[:12], 16) <= after
    assert id[12] == "7"
    assert id[16] in "89ab"


def test_two_processes_in_the_same_millisecond_make_different_ids() -> None:
    one, other = (Ids(lambda: 1_700_000_000_000_000_000) for _ in range(2))
    assert not {one.next() for _ in range(1000)} & {other.next() for _ in range(1000)}


def test_each_fact_has_a_good_value_here() -> None:
    assert GOOD.keys() == PROPERTIES.keys()
    assert check(GOOD.items()) == GOOD


@pytest.mark.parametrize("name", sorted(PROPERTIES))
@pytest.mark.parametrize(
    "bad", ["", " ", "\n", "../..", "a\nb", "\N{GRINNING FACE}", "x" * 2000, "\u0661"]
)
def test_a_bad_value_is_refused_by_its_name(name: str, bad: str) -> None:
    with pytest.raises(BadProperty, match=f"property {name} has a bad value"):
        check([(name, bad)])


@pytest.mark.parametrize("name", ["score", "sharpness", "quality", "scale"])
@pytest.mark.parametrize("bad", ["-", "nan", "inf", "1e3", ".5", "1.", "+1", "1,5", "0x1"])
def test_a_number_is_a_plain_decimal_number(name: str, bad: str) -> None:
    with pytest.raises(BadProperty):
        check([(name, bad)])


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_a_good_value_with_a_newline_behind_it_is_refused(name: str) -> None:
    with pytest.raises(BadProperty):
        check([(name, GOOD[name] + "\n")])


@pytest.mark.parametrize("name", ["unknown", "rejected", "-box", "Box", "box_1", "a" * 64, "b.c"])
def test_names_that_would_mislead_are_no_devices(name: str) -> None:
    with pytest.raises(BadProperty):
        check([("device", name)])


@pytest.mark.parametrize("pair", [("door", "open"), ("x-y_2", "a b~!"), ("n", "x" * 512)])
def test_other_properties_pass_if_they_can_be_metadata(pair: tuple[str, str]) -> None:
    assert check([pair]) == dict([pair])


@pytest.mark.parametrize(
    "pair",
    [("Door", "x"), ("", "x"), ("a b", "x"), ("a", " x"), ("a", "x "), ("a", "\xe9"), ("a\n", "x")],
)
def test_other_properties_that_cannot_be_metadata_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(BadProperty):
        check([pair])


def test_a_property_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(BadProperty, match="twice"):
        check([("camera", "a"), ("camera", "b")])


def test_more_properties_than_metadata_can_hold_are_refused() -> None:
    with pytest.raises(BadProperty, match=str(METADATA_LIMIT)):
        check((f"p{number}", "x" * 500) for number in range(5))


def test_more_properties_than_a_request_may_have_headers_are_refused() -> None:
    with pytest.raises(BadProperty, match=str(PROPERTIES_LIMIT)):
        check((f"p{number}", "x") for number in range(PROPERTIES_LIMIT + 1))


@given(st.lists(st.tuples(st.text(max_size=70), st.text(max_size=600)), max_size=8))
def test_any_properties_are_either_checked_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        facts = check(pairs)
    except BadProperty:
        return
    assert list(facts.items()) == pairs
    assert all(text.isascii() and text.isprintable() for pair in pairs for text in pair)


def test_what_a_face_encodes_any_mqtt_client_reads_and_it_decodes_itself() -> None:
    payload, properties = Face(b"png", GOOD).encode(Topics("faces"))
    read = unpack(properties)
    assert payload == b"png"
    assert read.ContentType == "image/png"
    assert read.ResponseTopic == "faces/receipts/box-1"
    assert read.CorrelationData == GOOD["id"].encode()
    assert Face.decode(payload, read.UserProperty) == Face(b"png", GOOD)
