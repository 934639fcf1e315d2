"""Tracks: which of the faces in this frame is which of those in the frames before.

Tracking by detection in the manner of SORT (Bewley et al., "Simple Online and Realtime Tracking",
ICIP 2016): a constant-velocity prediction per face, and the cheapest pairs of faces and predictions
matched first. Its distance is between centres, in sizes of the face, rather than the overlap: at
a few frames a second a walking face does not overlap its last place.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time as clock
from collections.abc import Iterable

from detector.detection.base import Detection
from detector.detection.boxes import SAME, Box, iou

KEPT = 1.0  # seconds without a sight of it that a face may stay in view
KEPT_UNCONFIRMED = 0.5
LATEST = 8  # sights that say whether it is a face
MISSABLE = 1.5  # frames without a sight of it that it may stay in view, where those are few
LONGEST_PAUSE = 4.0  # seconds between two frames that belong together
REACH = 0.7  # sizes of the face that it may be off its prediction
DRIFT = 0.8  # more of them per second without a sight
GROWTH = 1.6  # how much larger or smaller it may get between two sights
SMOOTH = 0.5  # the weight of the newest measurement in the velocity


@dataclasses.dataclass(eq=False)
class Track:
    """One face while it stays in view. Times are seconds on the source's clock."""

    number: int
    name: str  # the number, unique across restarts
    box: Box
    first: float
    seen: float  # when it was last found
    velocity: tuple[float, float] = (0.0, 0.0)  # pixels a second
    fresh: bool = True  # found anew in the last frame, not only held where nothing moved
    judged: float = float("-inf")  # when the engine last said what it is worth
    score: float = 0.0  # then
    frontal: float = 1.0
    quality: float = 0.0  # of its last shot that was considered
    sights: list[float] = dataclasses.field(default_factory=list)  # the scores until now
    confirmed: bool = False
    engine: str = ""  # which found it first
    scored: bool = False  # whether its last sight came with a score

    @property
    def mean(self) -> float:
        """The mean of its latest scores; 0 before it is judged."""
        return sum(self.sights) / max(1, len(self.sights))

    def predicted(self, time: float) -> Box:
        """Where it should be by now, at the velocity it had; it slows down while not found."""
        x, y, w, h = self.box
        lasted = min(time - self.seen, KEPT / 2)
        return round(x + self.velocity[0] * lasted), round(y + self.velocity[1] * lasted), w, h

    def held(self) -> Detection:
        """For a face that has not moved: where it was."""
        return Detection(self.box, self.score, self.frontal)

    def found(self, detection: Detection, time: float) -> None:
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
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def distance(track: Track, box: Box, time: float) -> float:
    """In sizes of the face, from where it should be; infinite when it cannot be the same."""
    expected = track.predicted(time)
    growth = math.log(box[2] / expected[2])
    if abs(growth) > math.log(GROWTH):
        return math.inf
    off = math.dist(centre(expected), centre(box)) / expected[2]
    reach = REACH + DRIFT * (time - track.seen)
    return off + abs(growth) if off <= reach else math.inf


class Tracker:
    """All faces in view; `live` in the order in which they came."""

    def __init__(self, once: float, often: float) -> None:
        self._once, self._often = once, often
        self._numbers = itertools.count(1)
        self._run = f"{int(clock.time()):x}"
        self._updated = float("nan")
        self._pause = 0.0  # seconds between the last two frames
        self.live: list[Track] = []

    def update(self, found: Iterable[Detection], time: float) -> list[Track]:
        """Take in what was found at `time`; the tracks that have ended by now."""
        self._pause = min(LONGEST_PAUSE, max(0.0, time - self._updated)) if self.live else 0.0
        self._updated = time
        for track in self.live:
            track.fresh = False
        unmatched = self._match(list(found), time)
        for one in unmatched:
            if not any(iou(track.box, one.box) > SAME for track in self.live):
                self.live.append(self._new(one, time))
        ended = [track for track in self.live if time - track.seen > self._patience(track)]
        self.live = [track for track in self.live if track not in ended]
        return ended

    def alone(self, detection: Detection, time: float) -> Track:
        """A track of one sight, which is over with it."""
        track = self._new(detection, time)
        track.confirmed = True
        return track

    def _new(self, detection: Detection, time: float) -> Track:
        number = next(self._numbers)
        track = Track(number, f"{self._run}-{number}", detection.box, time, time)
        track.score, track.frontal = detection.score, detection.frontal
        track.engine, track.scored = detection.engine, detection.score > 0
        if detection.evidence:
            self.judge(track, detection)
        return track

    def end(self) -> list[Track]:
        """All of them: nothing more is to come."""
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
                self.live[a].found(found[b], time)
                if found[b].evidence:
                    self.judge(self.live[a], found[b])
        return [one for b, one in enumerate(found) if b not in taken]

    def judge(self, track: Track, detection: Detection) -> None:
        """Take in what the engine says of a track's face in this frame."""
        track.score, track.frontal = detection.score, detection.frontal
        if track.confirmed:
            return
        track.sights = [*track.sights[-LATEST + 1 :], detection.score]
        often = len(track.sights) > 1 and track.mean >= self._often
        track.confirmed = often or detection.score >= self._once

    def _patience(self, track: Track) -> float:
        return max(KEPT if track.confirmed else KEPT_UNCONFIRMED, MISSABLE * self._pause)
