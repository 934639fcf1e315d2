"""What the fleet page makes of one status message."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from common.protocol.status import Status


@dataclasses.dataclass(frozen=True)
class StatusReport:
    """The figures that the fleet page shows; None for those that a service does not report."""

    online: bool
    at: float | None  # seconds since 1970, by its sender's clock
    period: float  # seconds
    version: str
    reasons: Mapping[str, str]  # why it is degraded, by what it checked
    frames: float | None  # searched since it was started
    skipped: float | None
    faces: float | None  # captured in all, or, of a processor, stored since it was started
    confirmed: float | None
    sent: float | None
    rejected: Mapping[str, float]
    dropped: Mapping[str, float]
    refused: Mapping[str, float]  # by device
    waiting: float | None  # faces
    waiting_bytes: float | None
    oldest: float | None  # seconds that the oldest of them has waited
    round_trip: float | None  # seconds
    certificate_days: float | None
    ended: bool  # its file has been read to the end


def read(payload: bytes) -> StatusReport:
    """The report in a status message.

    Raises:
        BadMessage: too_large, no_json or no_object.
    """
    status = Status.decode(payload)
    figures = status.figures

    def first(*names: str) -> float | None:
        return next((figures[name] for name in names if name in figures), None)

    return StatusReport(
        online=status.state == "online",
        at=status.at,
        period=status.period,
        version=status.version,
        reasons=status.reasons,
        frames=figures.get("frames"),
        skipped=figures.get("frames_skipped"),
        faces=first("captured", "stored"),
        confirmed=figures.get("confirmed"),
        sent=figures.get("sent"),
        rejected=figures.get("rejected", {}),
        dropped=figures.get("dropped", {}),
        refused=figures.get("refused", {}),
        waiting=first("waiting", "in_hand"),
        waiting_bytes=first("waiting_bytes", "in_hand_bytes"),
        oldest=figures.get("oldest_seconds"),
        round_trip=figures.get("round_trip"),
        certificate_days=figures.get("certificate_days"),
        ended=figures.get("camera_ended", False),
    )
