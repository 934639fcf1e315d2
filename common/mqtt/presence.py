"""Each service's retained status message, with an offline last will."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from common import __version__
from common.mqtt.client import Client
from common.protocol.clock import utc
from common.runtime.health import Health

PERIOD = 10  # seconds; three without a new one mean "not heard since"


class Presence:
    """Publishes `<root>/status/<device>/<service>/<instance>` on one link."""

    def __init__(
        self,
        link: Client,
        topic: str,
        health: Health,
        facts: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.topic = topic
        self.last = b""  # as published
        self._link = link
        self._health = health
        self._facts = facts
        link.will = (topic, _json({"state": "offline", "at": _now(), "period": PERIOD}))
        link.on_up.append(self.publish)

    def publish(self) -> None:
        reasons = self._health.reasons()
        message = {
            "state": "online",
            "at": _now(),
            "period": PERIOD,
            "version": __version__,
            "status": "degraded" if reasons else "well",
            "reasons": reasons,
            **self._facts(),
        }
        days = self._link.certificate_days
        if days is not None:
            message["certificate_days"] = round(days, 2)
        self.last = _json(message)
        self._link.publish(self.topic, self.last, retain=True)

    async def keep_publishing(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            self.publish()

    def clear(self) -> None:
        """Take the retained message away: a service that was stopped is not offline but gone."""
        self._link.publish(self.topic, b"", retain=True)


def topic(root: str, device: str, service: str, instance: str) -> str:
    return f"{root}/status/{device}/{service}/{instance}"


def _now() -> str:
    return utc(time.time())


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
