"""Tracks: which face of this frame is which face of the frames before.

Tracking by detection, as in SORT (Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016):
a constant-velocity prediction per face, and the closest pairs of faces and predictions are matched
first. Distance is measured between centres, in sizes of the face, rather than by overlap: at a few
frames a second a walking face does not overlap its last place.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time as clock
from collections.abc import Iterable

from detector.detection.base import Detection
from detector.detection.boxes import SAME, iou
from detector.picture import Box

KEPT = 1.0  # seconds that a track lives on without a sight of its face
KEPT_UNCONFIRMED = 0.5
LATEST = 8  # latest sights whose mean score confirms a face
MISSABLE = 1.5  # frames that a track lives on without a sight, where the frame rate is low
LONGEST_PAUSE = 4.0  # seconds between two frames that belong together
REACH = 0.7  # sizes of the face that it may be away from its prediction
DRIFT = 0.8  # further sizes per second without a sight
GROWTH = 1.6  # factor by which a face may grow or shrink between two sights
SMOOTH = 0.5  # the weight of the newest measurement in the velocity


@dataclasses.dataclass(eq=False)
class Track:
    """One face while it stays in view. Times are seconds on the source's clock."""

    number: int
    name: str  # the number, unique across restarts
    box: Box
    first: float
    seen: float  # when it was last detected
    velocity: tuple[float, float] = (0.0, 0.0)  # pixels a second
    fresh: bool = True  # detected in the last frame, not only held because nothing moved
    verified_at: float = float("-inf")  # when the engine last verified it
    score: float = 0.0  # of its last sight that had one
    frontal: float = 1.0
    quality: float = 0.0  # of the last shot that was considered
    sights: list[float] = dataclasses.field(default_factory=list)  # latest scores
    confirmed: bool = False
    engine: str = ""  # name of the engine that detected it first
    scored: bool = False  # whether its last sight had a score

    @property
    def mean(self) -> float:
        """The mean of its latest scores; 0 before there are any."""
        return sum(self.sights) / max(1, len(self.sights))

    def predict(self, time: float) -> Box:
        """Where it should be at `time`, at its last velocity; it slows down while not seen."""
        x, y, w, h = self.box
        lasted = min(time - self.seen, KEPT / 2)
        return round(x + self.velocity[0] * lasted), round(y + self.velocity[1] * lasted), w, h

    def last_detection(self) -> Detection:
        """The last detection again, for a face that has not moved."""
        return Detection(self.box, self.score, self.frontal)

    def add(self, detection: Detection, time: float) -> None:
        """Continue the track with a detection at `time`."""
        box = detection.box
        self.fresh = box is not self.box
        self.scored = detection.score > 0
        if self.scored:
            self.score, self.frontal = detection.score, detection.frontal
        lasted = time - self.seen
        if lasted > 0:
            old, new = centre(self.box), centre(box)
            self.velocity = tuple(
                (1 - SMOOTH) * was + SMOOTH * (b - a) / lasted
                for was, a, b in zip(self.velocity, old, new, strict=True)
            )  # type: ignore[assignment]
        self.box = box
        self.seen = time


def centre(box: Box) -> tuple[float, float]:
    """The centre of a box, in pixels."""
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def distance(track: Track, box: Box, time: float) -> float:
    """Distance of `box` from the prediction, in sizes of the face; infinite for another face."""
    expected = track.predict(time)
    growth = math.log(box[2] / expected[2])
    if abs(growth) > math.log(GROWTH):
        return math.inf
    off = math.dist(centre(expected), centre(box)) / expected[2]
    reach = REACH + DRIFT * (time - track.seen)
    return off + abs(growth) if off <= reach else math.inf


class Tracker:
    """All faces in view; `live` has them in order of arrival."""

    def __init__(self, confirm_score: float, confirm_mean_score: float) -> None:
        """A face is confirmed by one score, or by the mean of several."""
        self._confirm_score, self._confirm_mean_score = confirm_score, confirm_mean_score
        self._numbers = itertools.count(1)
        self._run = f"{int(clock.time()):x}"
        self._updated = float("nan")
        self._pause = 0.0  # seconds between the last two frames
        self.live: list[Track] = []

    def update(self, found: Iterable[Detection], time: float) -> list[Track]:
        """Match the detections of the frame at `time` to tracks; returns the tracks that ended."""
        self._pause = min(LONGEST_PAUSE, max(0.0, time - self._updated)) if self.live else 0.0
        self._updated = time
        for track in self.live:
            track.fresh = False
        unmatched = self._match(list(found), time)
        for one in unmatched:
            if not any(iou(track.box, one.box) > SAME for track in self.live):
                self.live.append(self._create(one, time))
        ended = [track for track in self.live if time - track.seen > self._patience(track)]
        self.live = [track for track in self.live if track not in ended]
        return ended

    def create_single(self, detection: Detection, time: float) -> Track:
        """A confirmed track of one detection, which is not followed."""
        track = self._create(detection, time)
        track.confirmed = True
        return track

    def _create(self, detection: Detection, time: float) -> Track:
        number = next(self._numbers)
        track = Track(number, f"{self._run}-{number}", detection.box, time, time)
        track.score, track.frontal = detection.score, detection.frontal
        track.engine, track.scored = detection.engine, detection.score > 0
        if detection.evidence:
            self.add_evidence(track, detection)
        return track

    def end(self) -> list[Track]:
        """End all tracks, and return them."""
        ended, self.live = self.live, []
        return ended

    def _match(self, found: list[Detection], time: float) -> list[Detection]:
        pairs = sorted(
            (
                (distance(track, one.box, time), a, b)
                for a, track in enumerate(self.live)
                for b, one in enumerate(found)
            ),
        )
        taken: set[int] = set()
        matched: set[int] = set()
        for cost, a, b in pairs:
            if cost == math.inf:
                break
            if a not in matched and b not in taken:
                matched.add(a)
                taken.add(b)
                self.live[a].add(found[b], time)
                if found[b].evidence:
                    self.add_evidence(self.live[a], found[b])
        return [one for b, one in enumerate(found) if b not in taken]

    def add_evidence(self, track: Track, detection: Detection) -> None:
        """Add the engine's score of a track's face in this frame; confirms it if that is enough."""
        track.score, track.frontal = detection.score, detection.frontal
        if track.confirmed:
            return
        track.sights = [*track.sights[-LATEST + 1 :], detection.score]
        by_mean = len(track.sights) > 1 and track.mean >= self._confirm_mean_score
        track.confirmed = by_mean or detection.score >= self._confirm_score

    def _patience(self, track: Track) -> float:
        return max(KEPT if track.confirmed else KEPT_UNCONFIRMED, MISSABLE * self._pause)
