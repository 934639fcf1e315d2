"""The dashboards, and what they ask Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from testing.services.prometheus import FOLDER

BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text())
    for path in (FOLDER / "grafana" / "dashboards").glob("*.json")
}


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each query with the title of its panel, Grafana's variables filled in as it would."""
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "1m")
            for variable in board["templating"]["list"]:
                text = text.replace(f"${variable['name']}", variable["allValue"])
            yield f"{panel['title']} ({target['refId']})", text
