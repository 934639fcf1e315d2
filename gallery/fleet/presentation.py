"""The fleet's figures as text, the same in the page and in its live updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gallery.fleet.instance import Instance
from gallery.fleet.summary import Summary

NONE = "\u2013"
LABELS = {
    "silent": "Not reporting",
    "down": "Service down",
    "offline": "Offline",
    "degraded": "Degraded",
    "online": "Online",
}
CELLS = (
    ("frames", "Frames/s"),
    ("faces", "Faces/s"),
    ("waiting", "Waiting"),
    ("dropped", "Dropped"),
    ("round_trip", "Round trip"),
    ("certificate", "Certificate"),
)
SOON, URGENT = 30, 7  # days before a certificate's end, as the services warn of it


def row(summary: Summary) -> dict[str, Any]:
    """One device's row, in text; `since` is in unix milliseconds."""
    days = summary.certificate_days
    return {
        "name": summary.name,
        "state": summary.state,
        "rank": summary.rank,
        "label": LABELS[summary.state],
        "since": None if summary.since is None else round(summary.since * 1000),
        "reasons": "; ".join(summary.reasons),
        "alarm": "" if days is None or days >= SOON else "bad" if days < URGENT else "warn",
        "cells": {
            "frames": rate(summary.frames),
            "faces": rate(summary.faces),
            "waiting": count(summary.waiting),
            "dropped": count(sum(summary.dropped.values())) if summary.dropped else "0",
            "round_trip": seconds(summary.round_trip),
            "certificate": format_time_left(days),
        },
    }


def service(instance: Instance, state: str, wall: float) -> dict[str, Any]:
    """One service of an opened device: its words, and its figures as pairs."""
    message = instance.message
    heard = state in ("online", "degraded")
    figures: list[tuple[str, str]] = []
    if message is not None:
        rates = instance.rates
        stored = instance.name.service == "processor"
        kept = "in progress" if stored else "waiting"
        figures = [
            ("frames", format_rate_of(rates.frames if heard else None, message.frames)),
            ("frames skipped", format_rate_of(rates.skipped if heard else None, message.skipped)),
            (
                "faces stored" if stored else "faces captured",
                format_rate_of(rates.faces if heard else None, message.faces),
            ),
            ("confirmed", count(message.confirmed)),
            ("sent", count(message.sent) if message.sent else NONE),
            (kept, _with_bytes(message.waiting, message.waiting_bytes)),
            ("oldest waiting", seconds(message.oldest)),
            ("rejected", format_by_reason(message.rejected)),
            ("dropped", format_by_reason(message.dropped)),
            ("refused", format_by_reason(message.refused)),
            ("round trip", seconds(message.round_trip)),
            ("certificate expires in", format_time_left(instance.certificate_days(wall))),
        ]
    return {
        "title": f"{instance.name.service} {instance.name.instance}",
        "state": state,
        "label": LABELS[state],
        "since": None if heard or instance.since is None else round(instance.since * 1000),
        "version": message.version if message is not None else "",
        "ended": message is not None and message.ended,
        "reasons": dict(message.reasons) if message is not None and heard else {},
        "figures": [(name, text) for name, text in figures if text != NONE],
    }


def rate(value: float | None) -> str:
    """Per second."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"


def count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def format_rate_of(per_second: float | None, total: float | None) -> str:
    """Such as `29.8/s, 12,345 in all`."""
    if total is None:
        return NONE
    return count(total) if per_second is None else f"{rate(per_second)}/s, {count(total)} in total"


def format_by_reason(counts: Mapping[str, float]) -> str:
    """Such as `3 (full 2, old 1)`."""
    if not counts:
        return NONE
    parts = ", ".join(f"{reason} {count(number)}" for reason, number in sorted(counts.items()))
    return f"{count(sum(counts.values()))} ({parts})"


def seconds(value: float | None) -> str:
    if value is None:
        return NONE
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h" if value < 172_800 else f"{value / 86_400:,.0f} days"


def format_time_left(days: float | None) -> str:
    """Until a certificate ends."""
    if days is None:
        return NONE
    if days <= 0:
        return "ended"
    return f"{days:,.0f} days" if days >= 2 else f"{days * 24:.0f} hours"


def _with_bytes(number: float | None, octets: float | None) -> str:
    if number is None or not octets:
        return count(number)
    unit, size = ("MB", octets / 1e6) if octets >= 1e6 else ("kB", octets / 1e3)
    return f"{count(number)} ({size:,.1f} {unit})"
