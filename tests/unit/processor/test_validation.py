"""What a message is, whose it is, and whether it belongs among the faces."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol import keys
from common.protocol.clock import to_rfc3339
from common.protocol.face import PROPERTIES
from processor.validation import MAX_BYTES, Arrival, validate
from testing.pictures import png

ID = "0123456789abcdef"
FACE = {
    "id": ID,
    "device": "box-1",
    "camera": "door",
    "captured": "2026-03-01T23:59:59.123456Z",
    "frame": "1920x1080",
    "box": "-5,10,200,240",
    "score": "12.25",
}
PLAIN = Arrival("faces", png(), (), None, None, at=1_700_000_000.0)


def arrival(topic: str = "faces", payload: bytes = png(), /, **facts: str) -> Arrival:
    pairs = tuple({**FACE, **facts}.items())
    return Arrival(topic, payload, pairs, ID.encode(), "faces/receipts/box-1", at=1_700_000_000.0)


def test_a_face_is_taken_with_all_its_facts() -> None:
    verdict = validate(arrival(place="hall 3"), "faces")
    assert verdict.reason is None
    assert verdict.facts == {**FACE, "place": "hall 3"}
    assert verdict.captured == pytest.approx(1772409599.123456)
    assert verdict.sha256 == hashlib.sha256(png()).hexdigest()


@pytest.mark.parametrize(("topic", "device"), [("faces", "unknown"), ("faces/from/box-9", "box-9")])
def test_a_png_without_facts_gets_them_from_its_arrival(topic: str, device: str) -> None:
    verdict = validate(dataclasses.replace(PLAIN, topic=topic), "faces")
    assert verdict.reason is None
    assert verdict.facts == {
        "id": verdict.sha256[:32],
        "device": device,
        "camera": "unknown",
        "captured": to_rfc3339(PLAIN.at),
    }


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"x", "not_png"),
        (b"\xff\xd8\xff\xe0 a JPEG", "not_png"),
        (png()[:-20], "truncated"),
        (png()[:-1] + b"?", "bad_crc"),
        (png() + bytes(MAX_BYTES), "too_large"),
    ],
)
def test_a_bad_payload_has_its_reason_and_keeps_its_facts(payload: bytes, reason: str) -> None:
    verdict = validate(arrival("faces", payload), "faces")
    assert (verdict.reason, verdict.facts["device"]) == (reason, "box-1")
    assert verdict.facts["captured"] == FACE["captured"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("note", "two\nlines"),
        ("note", "tab\there"),
        ("note", "smile \U0001f600"),
        ("note", "x" * 10_000),
        ("note", " blank"),
        ("note", ""),
        ("na\nme", "x"),
        ("NAME", "x"),
        ("", "x"),
        ("captured", "yesterday"),
        ("captured", "2026-02-30T00:00:00Z"),
        ("captured", "2026-03-01T23:59:60Z"),
        ("captured", "1969-12-31T23:59:59Z"),
        ("captured", "9999-12-31T23:59:59.999999Z"),
        ("frame", "1920x"),
        ("box", "1,2,3"),
        ("score", "nan"),
        ("camera", "../door"),
        ("camera", "unknown"),
    ],
)
def test_one_bad_property_rejects_and_the_sender_is_still_known(name: str, value: str) -> None:
    verdict = validate(arrival(**{name: value}), "faces")
    assert verdict.reason == "bad_property"
    assert verdict.facts["device"] == "box-1"
    assert verdict.facts["id"] == ID


@pytest.mark.parametrize(
    "facts",
    [
        {"device": "rejected"},
        {"device": "unknown"},
        {"device": "../box-1"},
        {"device": "BOX-1"},
        {"id": "short"},
        {"id": "../../../etc/passwd"},
        {"id": "another-face-than-in-correlation"},
        {f"property-{number}": "x" * 400 for number in range(6)},
    ],
)
def test_properties_that_could_mislead_are_rejected(facts: dict[str, str]) -> None:
    assert validate(arrival(**facts), "faces").reason == "bad_property"


def test_a_property_that_stands_there_twice_is_rejected() -> None:
    twice = dataclasses.replace(PLAIN, user_properties=(("device", "a"), ("device", "b")))
    assert validate(twice, "faces").reason == "bad_property"


@pytest.mark.parametrize("topic", ["faces/from/box-2", "faces/from/BOX-1", "faces/from/unknown"])
def test_who_speaks_for_another_device_is_rejected(topic: str) -> None:
    verdict = validate(arrival(topic), "faces")
    assert verdict.reason == "device_mismatch"
    assert verdict.facts["device"] == {"faces/from/box-2": "box-2"}.get(topic, "unknown")


def test_a_device_may_speak_for_itself() -> None:
    assert validate(arrival("faces/from/box-1"), "faces").reason is None


any_name = st.sampled_from([*PROPERTIES, "note"]) | st.text()
any_value = (
    st.text() | st.sampled_from(list(FACE.values())) | st.from_regex(PROPERTIES["captured"].grammar)
)


@given(
    st.sampled_from(["faces", "faces/from/box-1", "faces/from/"]) | st.text(),
    st.binary() | st.just(png()),
    st.lists(st.tuples(any_name, any_value), max_size=8),
    st.none() | st.binary() | st.just(ID.encode()),
)
def test_whatever_comes_has_a_verdict_and_a_place(
    topic: str, payload: bytes, pairs: list[tuple[str, str]], correlation: bytes | None
) -> None:
    message = Arrival(topic, payload, tuple(pairs), correlation, None, at=1_700_000_000.0)
    verdict = validate(message, "faces")
    place = keys.format_key(keys.DEFAULT_TEMPLATE, verdict.facts, verdict.captured)
    assert place.count("/") == 3
    assert not {"", ".", ".."} & set(place.split("/"))
    kept = {name: verdict.facts[name] for name in ("id", "device", "camera", "captured")}
    assert all(value.isascii() and value.isprintable() for value in kept.values())
    assert verdict.reason or payload == png()
