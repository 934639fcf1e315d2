"""Each service's retained status message, with an offline last will."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from common import __version__
from common.mqtt.client import Client
from common.protocol.status import PERIOD, Status
from common.runtime.health import Health


class Presence:
    """Publishes the status of one service on `topic` (see `Topics.status`) by one client.

    figures: returns the service's own figures, by their names in `status.FIGURES`.
    """

    def __init__(
        self,
        link: Client,
        topic: str,
        health: Health,
        figures: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.topic = topic
        self.last = b""  # as published
        self._link = link
        self._health = health
        self._figures = figures
        link.will = (topic, Status.will(time.time()).encode())
        link.on_up.append(self.publish)

    def publish(self) -> None:
        figures = self._figures()
        days = self._link.certificate_days
        if days is not None:
            figures["certificate_days"] = round(days, 2)
        reasons = self._health.reasons()
        status = Status("online", time.time(), PERIOD, __version__, reasons, figures)
        self.last = status.encode()
        self._link.publish(self.topic, self.last, retain=True)

    async def keep_publishing(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            self.publish()

    def clear(self) -> None:
        """Take the retained message away: a service that was stopped is not offline but gone."""
        self._link.publish(self.topic, b"", retain=True)
