"""What services report of themselves, at a clock that a test sets."""

from __future__ import annotations

import json
from typing import Any

from common.protocol.clock import to_rfc3339
from gallery.fleet.instance import Instance, InstanceName
from gallery.fleet.statuses import Statuses
from gallery.fleet.summary import Summary, state_of, summarize

NOW = 1_795_000_000.0  # seconds since 1970


class ReportingFleet:
    """Statuses with clocks of their own, and services that speak to it."""

    def __init__(self) -> None:
        self.now = NOW
        self.statuses = Statuses("faces", ticks=lambda: self.now - NOW, wall=lambda: self.now)

    def says(
        self, name: str = "jetson-1/detector/door", /, at: float | None = None, **facts: Any
    ) -> str | None:
        message = {"state": "online", "at": to_rfc3339(at or self.now), "period": 10, **facts}
        return self.tells(name, message)

    def tells(self, name: str, message: dict[str, Any]) -> str | None:
        return self.statuses.take(f"faces/status/{name}", json.dumps(message).encode())

    def later(self, seconds: float = 10.0) -> None:
        self.now += seconds

    def instance(self, name: str = "jetson-1/detector/door") -> Instance:
        wanted = InstanceName(*name.split("/"))
        return next(one for one in self.statuses if one.name == wanted)

    def state(self, name: str = "jetson-1/detector/door") -> str:
        one = self.instance(name)
        return state_of(one, self.statuses.of(one.name.device))

    def summary(self, device: str = "jetson-1") -> Summary:
        return summarize(device, self.statuses.of(device), self.now)
