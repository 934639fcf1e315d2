"""What the services of one device come to."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

from common.protocol.status import FLOODING_SENDER, WATCHERS
from gallery.fleet.instance import Instance, InstanceName

STATES = ("silent", "down", "degraded", "online")  # the worst first
GONE_AFTER = 86_400.0  # seconds after which a replica that others stand in for is no trouble
REPLICAS = ("processor", "gallery")  # services of which one is as good as another
REASONS_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class Summary:
    """One device. `since`: when it last reported, in seconds since 1970, if it is `silent`.

    `down`: a service of it is offline or silent, while others are heard.
    """

    name: str
    state: str
    since: float | None
    reasons: tuple[str, ...]  # such as "detector door: camera silent"
    services: int
    frames: float | None  # per second
    faces: float | None  # per second
    waiting: float | None  # faces
    dropped: Mapping[str, float]  # faces, by reason
    round_trip: float | None  # seconds, the longest
    certificate_days: float | None  # of the first that ends

    @property
    def rank(self) -> int:
        return STATES.index(self.state)


def sort_key(summary: Summary) -> tuple[bool, int, str]:
    """Troubled ones first, then by name."""
    return summary.state == "online", summary.rank, summary.name


def state_of(instance: Instance, siblings: Iterable[Instance]) -> str:
    """What an instance says of itself counts only while its device's forwarder is heard."""
    if instance.state == "offline" or instance.name.service == "forwarder":
        return instance.state
    forwarders = [one for one in siblings if one.name.service == "forwarder"]
    relayed = not forwarders or any(_is_heard(one) for one in forwarders)
    return instance.state if relayed else "silent"


def summarize(name: str, instances: list[Instance], wall: float) -> Summary:
    """The summary of a device with at least one instance."""
    counted = [one for one in instances if not _is_replaced(one, instances, wall)]
    states = {one.name: state_of(one, counted) for one in counted}
    live = [one for one in counted if states[one.name] in ("online", "degraded")]
    state = _state(set(states.values()))
    lasts = [one.since for one in counted if one.since is not None]
    messages = [one.message for one in counted if one.message is not None]
    sources = [one for one in messages if one.faces is not None] or messages
    ends = [days for one in counted if (days := one.certificate_days(wall)) is not None]
    return Summary(
        name=name,
        state=state,
        since=max(lasts, default=None) if state == "silent" else None,
        reasons=_reasons(counted, states) if state != "silent" else (),
        services=len(counted),
        frames=_total(one.rates.frames for one in live),
        faces=_total(one.rates.faces for one in live),
        waiting=_total(one.waiting for one in sources),
        dropped=sum((Counter(one.dropped) for one in messages), Counter()),
        round_trip=max(
            (one.round_trip for one in messages if one.round_trip is not None), default=None
        ),
        certificate_days=min(ends, default=None),
    )


def _is_heard(instance: Instance) -> bool:
    return instance.state in ("online", "degraded")


def _is_replaced(instance: Instance, siblings: list[Instance], wall: float) -> bool:
    """Whether it is a replica of long ago, in whose place others are at work."""
    service = instance.name.service
    if (
        service not in REPLICAS
        or _is_heard(instance)
        or wall - (instance.since or 0.0) < GONE_AFTER
    ):
        return False
    return any(one.name.service == service and _is_heard(one) for one in siblings)


def _state(states: set[str]) -> str:
    if not states & {"online", "degraded"}:
        return "silent"
    if states & {"silent", "offline"}:
        return "down"
    return "degraded" if "degraded" in states else "online"


def _reasons(instances: list[Instance], states: Mapping[InstanceName, str]) -> tuple[str, ...]:
    found = []
    for one in instances:
        title = f"{one.name.service} {one.name.instance}"
        if states[one.name] in ("silent", "offline"):
            found.append(
                f"{title}: {'offline' if states[one.name] == 'offline' else 'not reporting'}"
            )
        elif one.message is not None:
            reasons = one.message.reasons.items()
            found += [f"{title}: {format_reason(one.name.service, *pair)}" for pair in reasons]
    rest = len(found) - REASONS_SHOWN
    return (*found[:REASONS_SHOWN], f"and {rest} more") if rest > 0 else tuple(found)


def format_reason(service: str, check: str, reason: str) -> str:
    """`cloud_broker`, `refused` as people read it: the words of the manual stay what they are."""
    if service in WATCHERS and check.startswith(FLOODING_SENDER):
        device = check.removeprefix(FLOODING_SENDER)
        return f"device {device} {reason}; to cut it off: enroll revoke {device}"
    return f"{check.replace('_', ' ')} {reason}"


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
