"""What broker/log.awk makes of the log of a real Mosquitto."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from testing.mqtt.attacker import Attacker
from testing.mqtt.publish import encode_publish
from testing.services.enrolment import Enrolment, Peer, context, running
from testing.services.process import ROOT

pytestmark = pytest.mark.attack

DENIALS, LINES = 20, 100  # a minute: broker/log.awk


def filter_log(log: str) -> list[str]:
    command = ["mawk", "-W", "interactive", "-f", str(ROOT / "broker" / "log.awk")]
    done = subprocess.run(command, check=True, input=log, capture_output=True, text=True)
    return done.stdout.splitlines()


def count_left_out(lines: list[str], kind: str) -> int:
    counts = [re.search(rf": {kind}: (\d+) more within this minute$", line) for line in lines]
    return sum(int(count[1]) for count in counts if count)


def test_a_flood_of_refused_messages_leaves_a_few_lines_and_a_count(tmp_path: Path) -> None:
    enrolment = Enrolment(tmp_path)
    device = enrolment.enrol("jetson-1")
    with running(enrolment) as cloud:
        with Attacker(cloud.port, context(device)) as thief:
            packets = (encode_publish(f"faces/from/{number}") for number in range(100_000))
            assert thief.send(b"".join(packets))
        with Peer(cloud.port, device) as peer:
            assert not peer.may_subscribe("faces/#")
        lines = filter_log(cloud.log)
    denials = [line for line in lines if ": Denied PUBLISH from jetson-1 (" in line]
    minutes = {line[:16] for line in lines}
    assert "(... 'faces/from/0' ...)" in denials[0]
    assert len(denials) <= DENIALS * len(minutes)
    assert len(denials) + count_left_out(lines, "Denied PUBLISH from jetson-1") == 100_000
    assert sum(map(len, lines)) < 20_000
    # What else the client does is still seen.
    assert [line for line in lines if line.endswith("Denied SUBSCRIBE from jetson-1 to faces/#")]
    assert [line for line in lines if " as jetson-1 " in line]


def denial(topic: str, second: int = 0, client: str = "jetson-1") -> str:
    stamp = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}+0000"
    return f"{stamp}: Denied PUBLISH from {client} (d0, q1, r0, m1, '{topic}', ... (5 bytes))\n"


def test_the_same_denial_is_said_once_a_minute_with_a_count() -> None:
    lines = filter_log("".join(denial("faces", second) for second in range(180)))
    assert len([line for line in lines if line.endswith("'faces' ...)")]) == 3
    assert count_left_out(lines, "Denied PUBLISH from jetson-1") == 177


def test_one_client_does_not_hide_another() -> None:
    flood = "".join(denial(str(number)) for number in range(1000))
    lines = filter_log(flood + denial("faces", client="jetson-2"))
    assert [line for line in lines if "Denied PUBLISH from jetson-2 (" in line]


def test_a_long_topic_is_cut() -> None:
    (line,) = filter_log(denial("x" * 60_000))
    assert len(line) < 200


def test_other_lines_that_repeat_are_counted_as_well() -> None:
    text = "2026-01-01T00:00:00+0000: New connection from 192.0.2.7:{} on port 8883.\n"
    other = "2026-01-01T00:00:00+0000: mosquitto version 2.0.21 running\n"
    lines = filter_log("".join(text.format(port) for port in range(5000)) + other)
    assert len(lines) == LINES + 2
    assert lines[LINES].endswith("mosquitto version 2.0.21 running")
    assert count_left_out(lines, r"New connection from #\.#\.#\.#:# on port #\.") == 5000 - LINES


def test_kinds_of_lines_without_end_are_bounded() -> None:
    text = "2026-01-01T00:00:00+0000: Client {} closed its connection.\n"
    names = ("".join(chr(97 + int(digit)) for digit in f"{number:06d}") for number in range(5000))
    assert len(filter_log("".join(map(text.format, names)))) < 700
