"""A device in a handful of numbers, for /metrics."""

from __future__ import annotations

from collections.abc import Iterable

from common.mqtt import DAY
from gallery.fleet.instance import Instance
from gallery.fleet.summary import Summary
from gallery.metrics import DeviceFigures


def device_figures(summary: Summary, instances: Iterable[Instance], wall: float) -> DeviceFigures:
    """Counts of its detectors, across restarts; dropped faces are those of all its services."""
    messages = [
        one.message
        for one in instances
        if one.name.service == "detector" and one.message is not None
    ]
    days = summary.certificate_days
    return DeviceFigures(
        name=summary.name,
        up=summary.state != "silent",
        well=summary.state == "online",
        waiting=summary.waiting,
        captured=sum(one.faces or 0.0 for one in messages) if messages else None,
        rejected=sum(sum(one.rejected.values()) for one in messages) if messages else None,
        dropped=sum(summary.dropped.values()),
        round_trip=summary.round_trip,
        certificate_ends=None if days is None else round(wall + days * DAY),
    )
