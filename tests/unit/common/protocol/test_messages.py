"""Receipts, announcements and statuses: what one end encodes, the other decodes; strangers harm
nothing."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol import status
from common.protocol.fields import BadMessage
from common.protocol.receipt import Receipt
from common.protocol.status import FIGURES, Status
from common.protocol.stored import Stored
from testing.mqtt.publish import unpack

RECEIPT = Receipt("0192f0c1a2b37c4d", "9f86d081", "stored", "box-1/cam/face.png", None, 1.7e9)
STORED = Stored("box-1/cam/face.png", "9f86", 20_000, 1_700_000_000.5, {"device": "box-1"})
STATUS = Status("online", 1_700_000_000.0, 10.0, "1.2", {"camera": "lost"}, {"frames": 3.0})
MESSAGES = (Receipt, Stored, Status)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
NAMES = ["id", "sha256", "outcome", "reason", "key", "bytes", "stored", "state", "at", "period"]
NAMES += ["version", "status", "reasons", *FIGURES]
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=10)


@pytest.mark.parametrize("message", [RECEIPT, STORED, STATUS])
def test_a_message_survives_the_wire(message: Any) -> None:
    assert type(message).decode(message.encode()) == message


def test_a_receipt_of_an_older_processor_has_no_time() -> None:
    older = json.loads(RECEIPT.encode())
    del older["at"]
    assert Receipt.decode(json.dumps(older).encode()) == dataclasses.replace(RECEIPT, at=None)


def test_a_receipt_answers_by_the_correlation_data_of_its_face() -> None:
    properties = unpack(Receipt.encode_properties(b"some id"))
    assert properties.CorrelationData == b"some id"
    assert properties.ContentType == "application/json"


@pytest.mark.parametrize("kind", MESSAGES)
@given(payload=OBJECTS.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_whatever_a_stranger_sends_is_read_or_refused_with_a_reason(
    kind: type[Receipt], payload: bytes
) -> None:
    try:
        message = kind.decode(payload)
    except BadMessage:
        return
    again = kind.decode(message.encode())
    assert kind.decode(again.encode()) == again


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "no_json"),
        (b"[" * 4000, "no_json"),
        (b"[]", "no_object"),
        (b" " * 17_000, "too_large"),
    ],
)
def test_what_is_no_object_is_refused_by_reason(
    kind: type[Receipt], payload: bytes, reason: str
) -> None:
    with pytest.raises(BadMessage) as caught:
        kind.decode(payload)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"key": 5, "bytes": 1, "stored": "2026-03-01T00:00:00Z"},
        {"key": "a.png", "bytes": "1", "stored": "2026-03-01T00:00:00Z"},
        {"key": "a.png", "bytes": -1, "stored": "2026-03-01T00:00:00Z"},
        {"key": "a.png", "bytes": 1, "stored": "yesterday"},
        {"key": "a.png", "bytes": 1, "stored": "2026-03-01T00:00:00"},
        {"key": "x" * 1025, "bytes": 1, "stored": "2026-03-01T00:00:00Z"},
    ],
)
def test_an_announcement_without_a_sound_key_size_and_time_is_refused(message: Any) -> None:
    with pytest.raises(BadMessage, match="no valid"):
        Stored.decode(json.dumps(message).encode())


def test_a_rejection_with_an_unknown_reason_reads_as_other() -> None:
    message = json.dumps({"id": "1", "sha256": "2", "outcome": "rejected", "reason": "A b"})
    assert Receipt.decode(message.encode()).reason == "other"


def test_a_will_says_offline_and_no_more() -> None:
    said = json.loads(Status.will(0.0).encode())
    assert said == {"state": "offline", "at": "1970-01-01T00:00:00.000000Z", "period": 10}


def test_a_degraded_service_has_a_reason() -> None:
    assert Status.decode(b'{"status": "degraded"}').reasons == {"status": "degraded"}


def test_the_reasons_of_a_status_are_few_and_add_up() -> None:
    dropped = {f"reason_{number}": 2 for number in range(50)}
    figures = Status.decode(json.dumps({"dropped": dropped}).encode()).figures
    assert len(figures["dropped"]) == status.REASONS_MAX + 1
    assert sum(figures["dropped"].values()) == 100
