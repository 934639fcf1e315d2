"""Each alert fires when it should and stays quiet when it should, in Prometheus's own judgement."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from testing.services.process import ROOT
from testing.services.prometheus import FOLDER
from tests.integration.monitoring.rules import RULES, SIDES, promtool

DAY = 86_400

Series = dict[str, str]  # name and labels, and promtool's short form of a value each minute


@dataclasses.dataclass(frozen=True)
class Case:
    """`quiet`: what is no reason for it, such as the same for a moment only."""

    file: str
    fires: Series
    quiet: tuple[Series, ...]
    at: int = 30  # minutes


GONE = 'facepipe_fleet_device_up{job="gallery",instance="g",device="jetson-1"}'
HEARS = 'facepipe_mqtt_connected{job="gallery",instance="g",broker="cloud"}'
WELL = 'facepipe_fleet_device_well{job="gallery",instance="g",device="jetson-1"}'
HEAP = 'facepipe_broker_heap_bytes{job="gallery",instance="g"}'
RETAINED = 'facepipe_broker_retained_messages{job="gallery",instance="g"}'
WAITING = 'facepipe_fleet_faces_waiting{job="gallery",device="jetson-1"}'
DROPPED = 'facepipe_fleet_faces_dropped_total{job="gallery",device="jetson-1"}'
ENDS = 'facepipe_fleet_certificate_expiration_timestamp_seconds{job="gallery",device="jetson-1"}'
OWN_ENDS = 'facepipe_certificate_expiration_timestamp_seconds{job="processor",whose="own"}'
FAULTS = 'facepipe_errors_total{job="processor",instance="p",reason="face"}'
REJECTED = 'facepipe_processor_faces_rejected_total{job="processor",reason="not_png"}'
FLOOD = 'facepipe_processor_device_messages_refused_total{device="jetson-1",reason="rejected"}'
ABOVE_RATE = 'facepipe_broker_device_messages_refused{job="gallery",device="jetson-1"}'
BUSY = 'facepipe_processor_device_messages_refused_total{device="jetson-1",reason="hands_full"}'
STORED = 'facepipe_processor_faces_stored_total{job="processor"}'
FULL = 'facepipe_processor_faces_dropped_total{job="processor",reason="hands_full"}'
LOGINS = 'facepipe_gallery_logins_refused_total{job="gallery",reason="password"}'
FRAMES = 'facepipe_detector_frames_total{job="detector",instance="d"}'
FILE_ENDED = 'facepipe_detector_camera_ended{job="detector",instance="d"}'
OUTBOX = 'facepipe_detector_faces_waiting{job="detector",instance="d"}'
LOST = 'facepipe_detector_faces_dropped_total{job="detector",instance="d",reason="full"}'


def put(reason: str) -> str:
    return f'facepipe_processor_put_failures_total{{job="processor",reason="{reason}"}}'


def listing(reason: str) -> str:
    return f'facepipe_gallery_store_failures_total{{job="gallery",reason="{reason}"}}'


CASES = {
    "ServiceDoesNotAnswer": Case(
        "all",
        {'up{job="processor",instance="p"}': "0x60"},
        ({'up{job="processor",instance="p"}': "1x60"},),
    ),
    "BrokerAway": Case("all", {HEARS: "0x60"}, ({HEARS: "1x60"}, {HEARS: "1x28 0x30"})),
    "CertificateEnds": Case("all", {OWN_ENDS: f"{29 * DAY}x60"}, ({OWN_ENDS: f"{31 * DAY}x60"},)),
    "Fault": Case("all", {FAULTS: "_x24 1x30"}, ({FAULTS: "5x60"}, {FAULTS: "0x60"})),
    "DeviceGone": Case(
        "cloud",
        {GONE: "1x20 0x40", HEARS: "1x60"},
        (
            {GONE: "1x60", HEARS: "1x60"},
            {GONE: "1x20 0x40", HEARS: "1x20 0x40"},  # it is we who hear nobody
            {GONE: "1x28 0x30", HEARS: "1x60"},
        ),
    ),
    "DeviceUnwell": Case(
        "cloud",
        {GONE: "1x60", WELL: "0x60"},
        ({GONE: "1x60", WELL: "1x60"}, {GONE: "0x60", WELL: "0x60"}),
    ),
    "WaitingGrows": Case(
        "cloud",
        {WAITING: "0+10x60"},
        (
            {WAITING: "90x60"},
            {WAITING: "900-10x60"},  # it becomes less
            {WAITING: "0+1x60"},
        ),
    ),
    "FacesDropped": Case(
        "cloud", {DROPPED: "3x25 5x30"}, ({DROPPED: "3x60"}, {DROPPED: "3x5 5x60"})
    ),
    "DeviceCertificateEnds": Case("cloud", {ENDS: f"{29 * DAY}x60"}, ({ENDS: f"{31 * DAY}x60"},)),
    "BrokerFillsUp": Case("cloud", {HEAP: "260000000x60"}, ({HEAP: "240000000x60"},)),
    "ManyRetainedMessages": Case(
        "cloud", {RETAINED: "200x60", GONE: "1x60"}, ({RETAINED: "150x60", GONE: "1x60"},)
    ),
    "NoProcessor": Case(
        "cloud",
        {'up{job="processor",instance="p"}': "0x60"},
        (
            {
                'up{job="processor",instance="p"}': "0x60",
                'up{job="processor",instance="q"}': "1x60",
            },
        ),
    ),
    "NoGallery": Case("cloud", {}, ({'up{job="gallery",instance="g"}': "1x60"},)),
    "FacesRejected": Case(
        "cloud", {REJECTED: "_x25 1x30"}, ({REJECTED: "7x60"}, {REJECTED: "_x5 1x60"})
    ),
    "DeviceFloods": Case("cloud", {FLOOD: "0+200x60"}, ({FLOOD: "0+20x60"}, {BUSY: "0+200x60"})),
    "DeviceFloods (rate)": Case("cloud", {ABOVE_RATE: "0+200x60"}, ({ABOVE_RATE: "9000x60"},)),
    "BucketRefuses": Case(
        "cloud",
        {put("denied"): "0+3x60"},
        ({put("timeout"): "0+3x60"}, {put("denied"): "9x60"}, {listing("missing"): "0+9x60"}),
    ),
    "BucketAway": Case(
        "cloud",
        {put("timeout"): "0+60x60", STORED: "0+30x60"},
        (
            {put("timeout"): "0+3x60", STORED: "0+300x60"},
            {put("denied"): "0+60x60", STORED: "0x60"},  # another alert's
        ),
    ),
    "ProcessorsFull": Case("cloud", {FULL: "0+5x60"}, ({FULL: "40x60"},)),
    "PasswordsGuessed": Case("cloud", {LOGINS: "0+5x60"}, ({LOGINS: "0+1x60"},)),
    "NoDetector": Case("edge", {}, ({'up{job="detector",instance="d"}': "1x60"},)),
    "CameraSeesNothing": Case(
        "edge",
        {FRAMES: "500x60", FILE_ENDED: "0x60"},
        (
            {FRAMES: "0+900x60", FILE_ENDED: "0x60"},
            {FRAMES: "500x60", FILE_ENDED: "1x60"},
        ),
    ),
    "OutboxGrows": Case("edge", {OUTBOX: "0+10x60"}, ({OUTBOX: "500-10x60"}, {OUTBOX: "3x60"})),
    "FacesLost": Case("edge", {LOST: "_x25 1x30"}, ({LOST: "4x60"},)),
}


def alert_of(case: str) -> str:
    """The alert that a case is of: several of one have a word in brackets."""
    return case.partition(" (")[0]


def alerts(file: str) -> dict[str, str]:
    """The text of each, by name."""
    blocks = re.split(r"^ +- alert: ", RULES[file].read_text(), flags=re.MULTILINE)[1:]
    return {block.split("\n", 1)[0]: block for block in blocks}


def anchors() -> set[str]:
    """Of the manual's headings, as GitHub makes them."""
    text = (ROOT / "docs" / "operations.md").read_text()
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("side", SIDES)
def test_prometheus_takes_the_configuration_and_its_rules(side: str) -> None:
    said = promtool("check", "config", "--lint-fatal", str(FOLDER / f"{side}.yml"))
    assert "2 rule files found" in said


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    """An alert of another name is not looked at: nothing of its series is there."""
    assert {(alert_of(name), case.file) for name, case in CASES.items()} == {
        (name, file) for file in RULES for name in alerts(file)
    }
    tests = []
    for name, case in CASES.items():
        for number, series in enumerate((case.fires, *case.quiet)):
            firing = f'count(ALERTS{{alertname="{alert_of(name)}", alertstate="firing"}})'
            expected = [{"labels": "{}", "value": 1}] if number == 0 else []
            tests.append(
                {
                    "name": f"{name} {number}",
                    "interval": "1m",
                    "input_series": [{"series": s, "values": v} for s, v in series.items()],
                    "promql_expr_test": [
                        {"expr": firing, "eval_time": f"{case.at}m", "exp_samples": expected}
                    ],
                }
            )
    path = tmp_path / "tests.yml"
    files = [str(rules) for rules in RULES.values()]
    path.write_text(json.dumps({"rule_files": files, "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("file", RULES)
def test_each_alert_says_what_it_is_and_what_to_do_and_where_to_read_on(file: str) -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    for name, text in alerts(file).items():
        for word in ("summary", "remedy", "runbook_url"):
            assert re.search(rf"^ +{word}: \S", text, re.MULTILINE), f"{name} has no {word}"
        assert re.search(r"severity: (critical|warning)", text), name
        page, anchor = re.findall(r"blob/main/(\S+)#(\S+)", text)[0]
        assert page == "docs/operations.md"
        assert anchor in anchors(), f"{name}: {anchor}"
        assert f"`{name}`" in manual, f"{name} is not explained"
