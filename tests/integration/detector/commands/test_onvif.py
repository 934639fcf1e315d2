"""`python -m detector --cameras`: ONVIF cameras, with a stand-in on loopback."""

from __future__ import annotations

import re

from detector.commands.onvif import read_answer
from testing.network.onvif import OnvifCamera, answer
from testing.services.detector import run

BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb">]>' + answer("&b;")


def test_a_camera_that_answers_is_listed_with_the_line_for_the_settings() -> None:
    with OnvifCamera("Front Döor") as camera:
        done = run("--cameras")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^Front Döor, DS-2CD2042\n  CAMERA=rtsp://[0-9.]+/PATH$", done.stdout, re.MULTILINE
    )
    assert camera.probes >= 2  # UDP may lose one


def test_what_is_no_answer_is_passed_over() -> None:
    """Anybody in the network may send anything."""
    noise = (
        b"",
        b'<?xml version="1.0" encoding="no"?><a/>',
        b"\xff\xfe\x00",
        b"<a>",
        b"<a/>",
        BOMB,
        answer("printer", type="prn:Printer"),
    )
    with OnvifCamera("garden\x1b[31m", before=noise):
        done = run("--cameras")
    assert done.returncode == 0, done.stderr
    assert "printer" not in done.stdout + done.stderr
    assert "garden[31m, DS-2CD2042" in done.stdout
    assert [camera for text in noise for camera in read_answer(text, "192.0.2.1")] == []
