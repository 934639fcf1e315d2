"""What enrolment says of a broker that does not run or answer, and at a terminal."""

from __future__ import annotations

import os
import pty
import socket
from pathlib import Path

from testing.host.wait import free_port, listening
from testing.services.enrolment import (
    Enrolment,
)


def test_a_port_where_nobody_listens_is_a_broker_that_is_not_running(
    enrolment: Enrolment, device: Path
) -> None:
    port = free_port()
    enrolment.settings |= {"BROKER_HOST": "localhost", "BROKER_PORT": str(port)}
    assert not listening(port)
    _, said = enrolment.run("jetson-2")
    assert "the broker is not running" in said


def test_a_broker_that_cannot_be_told_is_an_error_after_the_bundle_is_out(
    enrolment: Enrolment, device: Path
) -> None:
    with socket.create_server(("localhost", 0)) as silent:
        port = str(silent.getsockname()[1])
        out, said = enrolment.run("jetson-2", code=1, BROKER_HOST="localhost", BROKER_PORT=port)
    assert "BEGIN CERTIFICATE" in out
    assert "it did not answer in time" in said
    assert "everything is recorded for its next start" in said
    access = (enrolment.broker / "access.json").read_text()
    assert "faces/from/jetson-2" in access


def test_at_a_terminal_it_says_how_to_have_a_file(enrolment: Enrolment) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, enrolment.start("jetson-1", stdout=terminal) as run:
        _, said = run.communicate(timeout=30)
    assert "end the command with: > jetson-1.pem" in said
    assert b"BEGIN CERTIFICATE" in os.read(ours, 65536)
    os.close(ours)
