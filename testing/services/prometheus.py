"""Debian's Prometheus with our configuration, its targets at addresses of this machine."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testing.host.wait import free_port, until
from testing.services.process import ROOT, Process

FOLDER = ROOT / "monitoring"


class Prometheus(Process):
    """`targets`: where to find each job of `monitoring/<side>.yml`, as `host:port`."""

    def __init__(self, side: str, folder: Path, targets: Mapping[str, str]) -> None:
        self.side = side
        self.port = free_port()
        self._targets = targets
        text = (FOLDER / f"{side}.yml").read_text()
        text = text.replace("- alerts/", f"- {FOLDER}/alerts/").replace(": 15s\n", ": 1s\n")

        def static(found: re.Match[str]) -> str:
            return f'static_configs: [{{targets: ["{targets[found[1]]}"]}}]'

        # Its names exist in the containers' network alone.
        text, count = re.subn(r"dns_sd_configs:\n +- \{names: \[(\w+)\].*\}", static, text)
        assert count == len(targets)
        path = folder / f"{side}.yml"
        path.write_text(text)
        super().__init__(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / side}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ]
        )

    def start(self) -> None:
        super().start()
        until(self._has_all, 60, "every target is scraped")

    def _has_all(self) -> bool:
        assert self.running, self.log
        try:
            found = self.query("count(up == 1)")
        except OSError:
            return False
        return bool(found) and int(found[0]["value"][1]) == len(self._targets)

    def get(self, path: str, **words: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found
