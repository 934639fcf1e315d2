"""Why a connection failed, in a word that leads to the remedy."""

from __future__ import annotations

import socket

import pytest

from common.mqtt import connect_errors


@pytest.mark.parametrize(
    ("error", "with_tls", "reason"),
    [
        (ConnectionResetError(), True, "tls"),
        (ConnectionResetError(), False, "closed"),  # a link that is cut has nothing to do with TLS
        (ConnectionRefusedError(), False, "absent"),
        (TimeoutError(), False, "timeout"),
        (socket.gaierror(-2, "Name or service not known"), False, "name"),
        (OSError(113, "No route to host"), False, "unreachable"),
    ],
)
def test_what_failed_below_mqtt_has_its_word(error: OSError, with_tls: bool, reason: str) -> None:
    assert connect_errors.explain_error(error, with_tls).reason == reason
