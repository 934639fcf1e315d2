"""Prometheus scrapes the real services, and finds what dashboards and alerts ask for."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator

import pytest

from testing.host.wait import until
from testing.services.gallery import Gallery
from testing.services.pipeline import DEVICE, Pipeline
from testing.services.process import Service
from testing.services.prometheus import Prometheus
from tests.integration.monitoring.boards import BOARDS, expressions
from tests.integration.monitoring.rules import SIDES, promtool

JOBS = {"cloud": ("processor", "gallery"), "edge": ("detector", "forwarder")}
# What there is only after something went wrong, which nothing does here, and with TLS.
OF_TROUBLE = re.compile(r"failures|rejected|dropped|refused|errors|ALERTS|certificate")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    folder = tmp_path_factory.mktemp("services")
    with (
        Pipeline(folder) as line,
        Gallery(line.store, folder / "gallery", MQTT_PORT=line.cloud_port) as gallery,
    ):
        made = {"detector": line.detector, "forwarder": line.forwarder}
        yield {**made, "processor": line.processor, "gallery": gallery}


@pytest.fixture(scope="module", params=SIDES)
def prometheus(
    request: pytest.FixtureRequest,
    services: dict[str, Service],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    targets = {job: services[job].url.removeprefix("http://") for job in JOBS[request.param]}
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(request.param, folder, targets) as running:
        yield running


@pytest.mark.parametrize("name", ["detector", "forwarder", "processor", "gallery"])
def test_names_units_and_helps_are_as_prometheus_wants_them(
    services: dict[str, Service], name: str
) -> None:
    with urllib.request.urlopen(f"{services[name].url}/metrics", timeout=10) as answer:
        text = answer.read()
    promtool("check", "metrics", given=text)


def test_the_gallery_tells_of_the_device(services: dict[str, Service]) -> None:
    gallery, detector = services["gallery"], services["detector"]

    def fleet(name: str) -> float:
        return gallery.metric(f"facepipe_fleet_{name}", device=DEVICE)

    until(lambda: fleet("device_up") == 1 and fleet("device_well") == 1, 30, "it is heard")
    captured = "faces_captured_total"
    until(lambda: fleet(captured) > 0, 30, "its books are told")
    assert fleet(captured) <= detector.metric(f"facepipe_detector_{captured}")
    assert fleet("faces_dropped_total") == fleet("faces_rejected_total") == 0
    assert 0 < fleet("round_trip_seconds") < 10


def test_the_alerts_are_there_and_none_has_a_fault(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, str]]:
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), 30, "all were looked at")
    assert len(rules()) > 7
    assert [rule for rule in rules() if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []


def test_each_panel_of_the_dashboard_has_an_answer(prometheus: Prometheus) -> None:
    asked = dict(expressions(BOARDS[prometheus.side]))
    assert len(asked) > 12

    def unanswered() -> list[str]:
        wanted = [title for title, one in asked.items() if not OF_TROUBLE.search(one)]
        return [title for title in wanted if not prometheus.query(asked[title])]

    for expression in asked.values():
        prometheus.query(expression)
    until(lambda: not unanswered(), 60, f"an answer for {unanswered()}")
