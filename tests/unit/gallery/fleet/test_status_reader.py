"""A status of whatever kind: what is no status, and values of any type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.protocol.fields import BadMessage
from gallery.fleet import presentation
from gallery.fleet.status_reader import read
from testing.services.fleet import ReportingFleet

HTML = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"{",
        b"[1]",
        b"null",
        b'"online"',
        b"[" * 10_000,
        b'{"frames":' + b"9" * 5000 + b"}",
        b'{"x":"' + b"a" * 20_000 + b'"}',
    ],
)
def test_what_is_no_status_is_passed_over(fleet: ReportingFleet, payload: bytes) -> None:
    with pytest.raises(BadMessage):
        read(payload)
    assert fleet.statuses.take("faces/status/jetson-1/detector/door", payload) is None
    assert len(fleet.statuses) == 0


@pytest.mark.parametrize(
    "value",
    [None, True, "x", HTML, "\ud800", [], [[]], {}, {"a": {}}, -1, 1e308, 10**400, float("nan")],
    ids=lambda value: repr(value)[:40],
)
def test_any_value_may_be_of_any_kind_and_nothing_breaks(fleet: ReportingFleet, value: Any) -> None:
    telling = (
        "state at period version status reasons frames frames_skipped captured confirmed sent"
        " rejected dropped waiting waiting_bytes oldest_seconds round_trip certificate_days"
        " camera_ended"
    )
    fleet.says()
    for _ in range(2):
        fleet.later()
        fleet.tells("jetson-1/detector/door", dict.fromkeys(telling.split(), value))
    assert fleet.instance().state in ("online", "degraded", "offline", "silent")
    row = presentation.row(fleet.summary())
    shown = presentation.service(fleet.instance(), fleet.state(), fleet.now)
    json.dumps([row, shown], allow_nan=False).encode()


@pytest.mark.parametrize(
    "value", [{HTML: HTML}, {"a" * 1000: "b" * 1000}, {str(i): i for i in range(300)}]
)
def test_what_is_kept_of_a_message_is_small_whatever_it_has(
    fleet: ReportingFleet, value: Any
) -> None:
    fleet.says(version="v" * 999, reasons=value, dropped=value, rejected=value)
    message = fleet.instance().message
    assert message is not None
    assert len(message.version) == 64
    assert len(message.reasons) <= 12
    assert len(message.dropped) <= 13
    assert all(len(word) <= 64 for pair in message.reasons.items() for word in pair)
    if len(value) == 300:
        assert sum(message.dropped.values()) == sum(range(300))
