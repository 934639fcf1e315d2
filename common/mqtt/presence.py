"""A service's retained status message, and its last will, which says offline."""

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
    """Publishes one service's status on `topic` (see `Topics.status`) through `client`.

    `figures` returns the service's own figures by their names in `status.FIGURES`. A connection has
    one last will: of several statuses on it, the last one created with `will` has it.
    """

    def __init__(
        self,
        client: Client,
        topic: str,
        health: Health,
        figures: Callable[[], dict[str, Any]] = dict,
        *,
        will: bool = True,
    ) -> None:
        self.topic = topic
        self.last = b""  # payload of the last status published
        self._client = client
        self._health = health
        self._figures = figures
        if will:
            client.will = (topic, Status.will(time.time()).encode())
        client.on_up.append(self.publish)

    def publish(self) -> None:
        """Publish the status as it is now."""
        figures = self._figures()
        days = self._client.certificate_days
        if days is not None:
            figures["certificate_days"] = round(days, 2)
        reasons = self._health.reasons()
        status = Status("online", time.time(), PERIOD, __version__, reasons, figures)
        self.last = status.encode()
        self._client.publish(self.topic, self.last, retain=True)

    async def keep_publishing(self) -> None:
        """Publish the status every `PERIOD` seconds, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD)
            self.publish()

    def clear(self) -> None:
        """Delete the retained message: a service that was stopped is gone, not offline."""
        self._client.publish(self.topic, b"", retain=True)
