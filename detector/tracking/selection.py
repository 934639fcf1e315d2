"""Which shots of a face are sent: CAPTURE.

interval  each second the best shot since the last one sent
best      one per visit: when it ends, or after `best_after` seconds
every     each sight of the face

Nothing is sent before the face is confirmed, but earlier shots count once it is. A face that has
not changed since its last shot, such as a poster or someone asleep, is not sent again.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from detector.detection.boxes import UNMOVED, iou
from detector.encoding.crop import FaceCrop
from detector.picture import Box
from detector.planes import Image
from detector.tracking.tracker import Track

BETTER = 1.02  # factor by which a shot must be better to be worth cutting
INTERVAL = 1.0  # seconds
PENDING = 30  # shots of a face that is not confirmed yet, with CAPTURE=every
THUMB = 24  # pixels
ALIKE = 4.0  # grey levels of difference; noise is 1 to 2, a breath changes a face by more


@dataclasses.dataclass
class _Visit:
    """The shots of one track."""

    since: float  # when the current interval began
    best: FaceCrop | None = None
    pending: list[FaceCrop] = dataclasses.field(default_factory=list)
    sent_quality: float = 0.0
    last: FaceCrop | None = None  # the last one sent


class ShotSelector:
    """Selects shots: `add` each sight of a face, `take_due` once per frame, `end` each track."""

    def __init__(self, capture: str, best_after: float) -> None:
        self._capture = capture
        self._best_after = best_after
        self._visits: dict[int, _Visit] = {}

    def wants(self, track: Track, quality: float) -> bool:
        """Whether a shot of that quality would be kept, so that it is worth cutting."""
        if self._capture == "every":
            return True
        visit = self._visits.get(track.number)
        if visit is None:
            return True
        if self._capture == "best" and visit.last is not None:
            return False
        return visit.best is None or quality > BETTER * visit.best.quality

    def add(self, track: Track, shot: FaceCrop) -> None:
        """Keep a shot, in place of one that is not as good unless CAPTURE=every."""
        visit = self._visits.setdefault(track.number, _Visit(track.first))
        if self._capture == "every":
            visit.pending = [*visit.pending[-PENDING + 1 :], shot]
        else:
            visit.best = shot

    def take_due(self, tracks: list[Track], time: float) -> list[FaceCrop]:
        """The shots to send now."""
        shots: list[FaceCrop] = []
        for track in tracks:
            visit = self._visits.get(track.number)
            if visit is not None and track.confirmed:
                shots += self._take(visit, time)
        return shots

    def end(self, track: Track) -> list[FaceCrop]:
        """The last shots of a face that has left."""
        visit = self._visits.pop(track.number, None)
        if visit is None or not track.confirmed:
            return []
        if self._capture == "every":
            return visit.pending
        better = visit.best is not None and visit.best.quality > visit.sent_quality
        return self._send(visit) if better or visit.last is None else []

    def _take(self, visit: _Visit, time: float) -> list[FaceCrop]:
        if self._capture == "every":
            shots, visit.pending = visit.pending, []
            return shots
        patience = INTERVAL if self._capture == "interval" else self._best_after
        if time - visit.since < patience:
            return []
        visit.since = time
        return self._send(visit)

    def _send(self, visit: _Visit) -> list[FaceCrop]:
        shot, visit.best = visit.best, None
        if shot is None:
            return []
        if visit.last is not None and _is_unchanged(visit.last, shot):
            return []
        visit.last = shot
        visit.sent_quality = max(visit.sent_quality, shot.quality)
        return [shot]


def _is_unchanged(before: FaceCrop, now: FaceCrop) -> bool:
    """Whether neither the face nor its place has changed.

    Compares the part of the frame that both shots show, since the box around a face that has not
    moved still differs a little from one sight to the next.
    """
    if iou(before.face, now.face) < UNMOVED:
        return False
    (x, y, w, h), (left, top, width, height) = before.box, now.box
    left, top = max(x, left), max(y, top)
    right, bottom = min(x + w, now.box[0] + width), min(y + h, now.box[1] + height)
    place = left, top, right - left, bottom - top
    difference = cv2.absdiff(_thumbnail(before, place), _thumbnail(now, place))
    return float(np.mean(difference)) < ALIKE


def _thumbnail(shot: FaceCrop, place: Box) -> Image:
    """The part of the frame at `place`, which the shot contains, in grey and small."""
    x, y = place[0] - shot.box[0], place[1] - shot.box[1]
    grey = cv2.cvtColor(shot.image[y : y + place[3], x : x + place[2]], cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.uint8)
