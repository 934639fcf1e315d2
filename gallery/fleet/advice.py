"""What an operator can do while there are no faces, depending on what already works."""

from __future__ import annotations

import dataclasses
from typing import Literal

from gallery.fleet.registry import Fleet
from gallery.fleet.summary import Summary

EDGE = ("detector", "forwarder")  # the services of a device that has a camera

Situation = Literal["cut", "none", "silent", "waiting", "unstored"]


@dataclasses.dataclass(frozen=True)
class Advice:
    """The situation, and what the devices have reported.

    `cut`: from the broker, so that nothing is known; `none`: no device has ever reported;
    `silent`: none reports now; `waiting`: for the first face; `unstored`: faces were captured.
    """

    situation: Situation
    devices: tuple[Summary, ...] = ()  # those that report, else all
    captured: int = 0  # faces, by all of these devices
    processed: bool = True  # some processor reports


def advise(fleet: Fleet) -> Advice:
    """Decide by what the services report; call it from the event loop only."""
    if not fleet.is_connected:
        return Advice("cut")
    known = tuple(one for one in fleet.devices() if _has_camera(fleet, one.name))
    heard = tuple(one for one in known if one.state != "silent")
    if not heard:
        return Advice("silent" if known else "none", known)
    captured = sum(_captured(fleet, one.name) for one in heard)
    processed = any(_is_processed(fleet, one.name) for one in fleet.devices())
    return Advice("unstored" if captured else "waiting", heard, captured, processed)


def _has_camera(fleet: Fleet, device: str) -> bool:
    return any(one.name.service in EDGE for one in fleet.services(device))


def _captured(fleet: Fleet, device: str) -> int:
    detectors = [one for one in fleet.services(device) if one.name.service == "detector"]
    return sum(int(one.message.faces or 0) for one in detectors if one.message is not None)


def _is_processed(fleet: Fleet, device: str) -> bool:
    return any(
        one.name.service == "processor" and one.state in ("online", "degraded")
        for one in fleet.services(device)
    )
