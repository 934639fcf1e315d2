"""The dashboards are what Grafana takes, as far as that can be known without it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from testing.services.process import ROOT
from testing.services.prometheus import FOLDER
from tests.integration.monitoring.boards import BOARDS, expressions
from tests.integration.monitoring.rules import RULES, SIDES

KINDS = {"row", "stat", "timeseries"}  # of panels, of Grafana 8 to 12
UNITS = {"short", "s", "bytes", "cps", "Bps", "reqps"}
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "facepipe"}
OF_OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "ALERTS"}


@pytest.fixture(params=SIDES)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return BOARDS[request.param]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_there_is_one_for_each_side_under_a_name_of_its_own() -> None:
    assert {*BOARDS} == {*SIDES}
    assert len({board["uid"] for board in BOARDS.values()}) == len(SIDES)


def test_its_head_is_complete(board: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z-]{1,40}", board["uid"])
    assert board["title"]
    assert "id" not in board, "the database gives that"
    assert 36 <= board["schemaVersion"] <= 41
    assert {*board["time"]} == {"from", "to"}
    for variable in board["templating"]["list"]:
        assert (variable["type"], variable["datasource"]) == ("query", SOURCE)
        assert variable["query"]["query"] == variable["definition"]


def test_each_panel_has_an_id_a_kind_and_a_title_of_its_own(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert {panel["type"] for panel in board["panels"]} <= KINDS
    for panel in panels(board):
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["fieldConfig"]["overrides"] == []
        first, *steps = [one["value"] for one in _thresholds(panel)]
        assert first is None
        assert steps == sorted(steps)


def _thresholds(panel: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return found


def test_each_panel_asks_our_prometheus_something(board: dict[str, Any]) -> None:
    for panel in panels(board):
        assert panel["datasource"] == SOURCE
        references = [target["refId"] for target in panel["targets"]]
        assert references == list("ABCDEF"[: len(references)])
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE
            assert target["expr"].strip()
            assert target["legendFormat"] != "__auto"


def test_panels_fill_the_grid_and_do_not_overlap(board: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert {*place} == {"x", "y", "w", "h"}
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_the_data_source_has_the_name_that_the_panels_use() -> None:
    folder = FOLDER / "grafana" / "provisioning"
    source = (folder / "datasources" / "prometheus.yml").read_text()
    assert f"uid: {SOURCE['uid']}\n" in source
    assert "url: http://prometheus:9090\n" in source
    compose = (ROOT / "docker-compose.monitoring.yml").read_text()
    where = re.findall(r"path: (\S+)\}", (folder / "dashboards" / "facepipe.yml").read_text())
    assert f"./monitoring/grafana/dashboards:{where[0]}:ro" in compose


def test_each_metric_that_is_asked_for_stands_in_the_manual() -> None:
    manual = (ROOT / "docs" / "metrics.md").read_text()
    asked = [text for board in BOARDS.values() for _, text in expressions(board)]
    asked += [json.dumps(board["templating"]) for board in BOARDS.values()]
    asked += [rules.read_text() for rules in RULES.values()]
    named = re.compile(r"\bfacepipe_[a-z_]+")
    # A link of an alert ends with a heading, which may end with a metric's name.
    names = {name for text in asked for name in named.findall(re.sub(r"#\S+", "", text))}
    assert len(names) > 40
    plain = {re.sub("_bucket$", "", name) for name in names}
    assert {name for name in plain if f"`{name}`" not in manual} == set()
    for text in asked:
        others = {*re.findall(r"\b(?!facepipe_)([a-zA-Z_]+)\b(?=\{|\[| ==)", text)} - {"by"}
        assert others <= OF_OTHERS, others
