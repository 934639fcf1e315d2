"""Where to search a frame: around the tracked faces, and now and then everywhere."""

from __future__ import annotations

import dataclasses
import time as clock

from detector.detection.base import Detection, Engine
from detector.detection.boxes import SAME, UNMOVED, iou, is_cut_off, nms
from detector.picture import Box, Picture
from detector.planes import Image
from detector.tracking import motion
from detector.tracking.tracker import Track

EVERY = 0.2  # seconds between two searches of everything that moves
SLIMMEST, WIDEST = 0.5, 1.6  # width / height of a box: beyond these a face is cut off too far
SMALLEST, LEAST_HEIGHT = 0.7, 24  # share of the smallest face, and pixels, below which none counts
AT_LEAST = 2.0  # seconds after which all of a still scene is searched again
DEEP = 2.0  # seconds between two searches in all ways that the engine has
SELDOM = 0.4  # seconds between two frames from which on each is searched in all ways
SHARE = 0.5  # of a live camera's time that searches may take; the rest is for tracking
CHECK = 0.5  # seconds after which a face that does not move is checked again


class DetectionScheduler:
    """Finds the faces of each frame within the time that the camera leaves."""

    def __init__(
        self, engine: Engine, min_face: float, width: int, *, hold: bool, live: bool
    ) -> None:
        """
        width: pixels to which a wider frame is reduced for the search.
        hold: a face where nothing moves counts as detected.
        live: frames do not wait, so a slow machine must search less often.
        """
        self._engine = engine
        self._min_face = min_face
        self._width = width
        self._hold = hold
        self._live = live
        self._least = 0.0  # pixels
        self._took = 0.0  # seconds that the last search took
        self._reference: Image | None = None  # the scene at the last search
        self._last = float("nan")
        self._searched = float("-inf")
        self._whole = float("-inf")
        self._deep = float("-inf")
        self._checked: dict[int, tuple[float, Image]] = {}  # by track: when, and the scene then

    def find(self, picture: Picture, tracks: list[Track], time: float) -> list[Detection]:
        """Candidates for faces in a frame at `time` seconds."""
        self._least = max(LEAST_HEIGHT, SMALLEST * self._min_face * picture.shape[0])
        now = motion.shrink(picture)
        width = picture.shape[1]
        detections = nms(self._follow(picture, tracks, time, now))
        seldom = not 0 <= time - self._last < SELDOM
        self._last = time
        if 0 <= time - self._searched < self._patience(tracks):
            return detections
        since = motion.MotionMask(self._reference, now, width)
        part: Box | None = None
        if time - self._whole >= AT_LEAST or time < self._whole:
            part = 0, 0, width, picture.shape[0]
            self._whole = time
        elif since.anywhere():
            part = since.bounds()
        if part is not None:
            self._searched, self._reference = time, now
            began = clock.perf_counter()
            deep = seldom or not 0 <= time - self._deep < DEEP
            if deep:
                self._deep = time
            detections = _merge(detections, self._search(picture, part, deep=deep))
            self._took = clock.perf_counter() - began
        return detections

    def _patience(self, tracks: list[Track]) -> float:
        least = EVERY if any(track.confirmed for track in tracks) else self._engine.idle_pause
        return max(least, self._took / SHARE) if self._live else least

    def _follow(
        self, picture: Picture, tracks: list[Track], time: float, now: Image
    ) -> list[Detection]:
        """Detections around the tracked faces."""
        detections: list[Detection] = []
        never = float("-inf"), now
        self._checked = {t.number: self._checked.get(t.number, never) for t in tracks}
        for track in tracks:
            box = track.predict(time)
            checked, scene = self._checked[track.number]
            still = self._hold and track.seen == self._last
            still = still and not motion.MotionMask(scene, now, picture.shape[1]).inside(box)
            if still and time - checked < CHECK:
                detections.append(track.last_detection())
                continue
            self._checked[track.number] = time, now
            near = [one for one in self._engine.detect_near(picture, box) if self._fits(one)]
            # Where nothing moves, a box shifts a little because detectors are not exact. Only an
            # unconfirmed face gets a new sight then, or a sleeper would never be confirmed.
            same = (
                still
                and track.confirmed
                and any(iou(track.box, other.box) > UNMOVED for other in near)
            )
            detections += [track.last_detection()] if same else near
        return detections

    def _search(self, picture: Picture, part: Box, *, deep: bool) -> list[Detection]:
        """Detections in a part of the frame, with boxes in the frame."""
        left, top = part[:2]
        min_side = self._min_face * picture.shape[0]
        most = self._width / picture.shape[1]
        within = picture.cut(part)
        return [
            dataclasses.replace(one, box=(left + one.box[0], top + one.box[1], *one.box[2:]))
            for one in self._engine.search(within, min_side, most, deep=deep)
            if self._fits(one) and not is_cut_off(one.box, within, part, picture)
        ]

    def _fits(self, one: Detection) -> bool:
        width, height = one.box[2:]
        return max(width, height) >= self._least and SLIMMEST <= width / height <= WIDEST


def _merge(followed: list[Detection], searched: list[Detection]) -> list[Detection]:
    """Each face once: at the place where it was tracked, with the better score of the search."""
    merged = list(followed)
    for one in nms(searched):
        at = next((i for i, f in enumerate(followed) if iou(f.box, one.box) >= SAME), None)
        if at is None:
            merged.append(one)
        elif one.evidence and one.score > merged[at].score:
            merged[at] = dataclasses.replace(merged[at], score=one.score, evidence=True)
    return merged


def detect_still(engine: Engine, picture: Picture, min_face: float, width: int) -> list[Detection]:
    """Faces in a picture that stands alone, however long that takes.

    min_face: the smallest face, as a fraction of the height; width: pixels to reduce it to.
    """
    least = max(1.0, min_face * picture.shape[0])
    return engine.detect_still(picture, least, width / picture.shape[1])
