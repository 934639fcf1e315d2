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


def run_at_a_terminal(enrolment: Enrolment, *words: str) -> tuple[str, bytes]:
    """What it says on stderr, and what the terminal shows."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, enrolment.start(*words, stdout=terminal) as run:
        _, said = run.communicate(timeout=30)
    try:
        return said, os.read(ours, 65536)
    except OSError:  # nothing was written, and the other end is closed
        return said, b""
    finally:
        os.close(ours)


def test_no_tar_file_is_written_to_a_terminal(enrolment: Enrolment) -> None:
    said, shown = run_at_a_terminal(enrolment, "jetson-1")
    assert said == "enroll: stdout is a terminal: end the command with > jetson-1.tar\n"
    assert not shown
    assert not enrolment.authority.exists()


def test_a_bundle_at_a_terminal_comes_with_how_to_have_a_file(enrolment: Enrolment) -> None:
    said, shown = run_at_a_terminal(enrolment, "--pem", "jetson-1")
    assert "end the command with: > jetson-1.pem" in said
    assert b"BEGIN CERTIFICATE" in shown
