"""What a remote party can cause in a log: few lines, and none but our own."""

from __future__ import annotations

import logging
import sys

import pytest

from common.runtime import logs
from common.runtime.logs import RateLimitedLogger, escape


def test_an_event_is_logged_once_then_once_a_minute_with_a_count(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr("common.runtime.logs.time.monotonic", lambda: now)
    limited = RateLimitedLogger(logging.getLogger("test"))
    for _ in range(100_000):
        limited.warn("flood", "too much")
    limited.warn("other", "something else")
    now += 61
    limited.warn("flood", "too much")
    assert [record.getMessage() for record in caplog.records] == [
        "too much (flood)",
        "something else (other)",
        "too much (flood); 99999 more of this kind in the last 61 s",
    ]


def test_a_bug_that_is_met_again_and_again_leaves_one_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limited = RateLimitedLogger(logging.getLogger("test"))
    for _ in range(10):
        limited.error("fault", "a bug", ZeroDivisionError("by zero"))
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_what_is_quoted_makes_no_line_of_its_own_and_is_cut() -> None:
    assert escape("a\nb\x1b[2J\u2028é", 100) == "a\\nb\\x1b[2J\\u2028é"
    assert escape("x" * 1000, 10) == "xxxxxxxxxx..."


def test_no_message_of_the_log_can_forge_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("test", "INFO")
        logging.getLogger("test").warning("%s", "a\n2026-01-01T00:00:00.000Z INFO test: forged")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    sys.stderr.flush()
    assert capfd.readouterr().err.count("\n") == 1
