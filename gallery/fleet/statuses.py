"""The newest status of each service of each device, in bounded memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping

from common.protocol.fields import BadMessage
from common.protocol.status import WORD_MAX
from common.runtime.logs import RateLimitedLogger
from gallery import metrics
from gallery.fleet.instance import Clock, Instance, InstanceName
from gallery.fleet.status_reader import read

log = logging.getLogger(__name__)

INSTANCES_MAX = 5_000  # in all: about 2 kB each, 5 kB at worst
OF_DEVICE_MAX = 50  # of one device, so that none can push out the others


class Statuses:
    """Call it from the event loop only. `known`: when each was last heard before we started."""

    def __init__(
        self,
        root: str,
        known: Mapping[InstanceName, float] | None = None,
        ticks: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self._root = f"{root}/status/"
        self._known = known or {}
        self._ticks, self._wall = ticks, wall
        self._devices: dict[str, dict[InstanceName, Instance]] = {}
        self._count = 0
        self._connection = 0
        self._limited_log = RateLimitedLogger(log)

    def disconnected(self) -> None:
        """What comes next, with a new connection, was retained, perhaps for long.

        Not when that is up: by then, the first messages may have come.
        """
        self._connection += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Instance]:
        for instances in self._devices.values():
            yield from instances.values()

    @property
    def devices(self) -> list[str]:
        return list(self._devices)

    def of(self, device: str) -> list[Instance]:
        return list(self._devices.get(device, {}).values())

    def knew(self, known: Mapping[InstanceName, float]) -> None:
        """Take what was saved on disk; this may come after the first messages."""
        self._known = known
        for instance in self:
            if instance.since is None:
                instance.since = known.get(instance.name)

    def take(self, topic: str, payload: bytes) -> str | None:
        """The device whose status has changed; None if the message is not a valid status."""
        name = self._name(topic)
        if name is None:
            self._pass_over(
                "name", f"a status has a topic that belongs to no service: {topic[:100]!r}"
            )
            return None
        if not payload:
            return self._remove(name)
        try:
            message = read(payload)
        except BadMessage as error:
            self._pass_over(error.reason, f"the status on {topic} cannot be read")
            return None
        instance = self._instance(name)
        if instance is None:
            self._pass_over("too_many", f"too many services; ignored the status on {topic}")
            return None
        instance.take(message, self._connection, self._wall())
        if name.service == "broker":
            for device, count in message.refused.items():
                metrics.BROKER_REFUSED.labels(device).set(count)
        return name.device

    def _pass_over(self, reason: str, text: str) -> None:
        metrics.STATUSES_REFUSED.labels(reason).inc()
        self._limited_log.warn(reason, text)

    def _name(self, topic: str) -> InstanceName | None:
        parts = topic.removeprefix(self._root).split("/")
        fine = all(0 < len(part) <= WORD_MAX and part.isprintable() for part in parts)
        return (
            InstanceName(*parts)
            if topic.startswith(self._root) and len(parts) == 3 and fine
            else None
        )

    def _remove(self, name: InstanceName) -> str | None:
        instances = self._devices.get(name.device, {})
        if instances.pop(name, None) is None:
            return None
        self._count -= 1
        if not instances:
            del self._devices[name.device]
        return name.device

    def _instance(self, name: InstanceName) -> Instance | None:
        instances = self._devices.get(name.device, {})
        if name in instances:
            return instances[name]
        if len(instances) >= OF_DEVICE_MAX and not self._displace(instances.values()):
            return None
        if self._count >= INSTANCES_MAX and not self._displace(self):
            return None
        made = Instance(name, self._known.get(name), self._ticks)
        self._devices.setdefault(name.device, {})[name] = made
        self._count += 1
        return made

    def _displace(self, among: Iterable[Instance]) -> bool:
        """Make room by forgetting who was not heard for longest; never one who is heard."""
        gone = [one for one in among if one.state in ("silent", "offline")]
        if not gone:
            return False
        self._remove(min(gone, key=lambda one: one.since or 0.0).name)
        return True
