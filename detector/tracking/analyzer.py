"""One frame in, the shots to send out: search, follow, choose."""

from __future__ import annotations

import dataclasses
import time as clock

from detector.capture.camera import Frame
from detector.detection import registry
from detector.detection.base import Detection, Engine
from detector.detection.boxes import Image
from detector.encoding import crop
from detector.encoding.crop import FaceCrop
from detector.tracking import quality
from detector.tracking.options import AnalyzerOptions
from detector.tracking.scheduler import DetectionScheduler, detect_still
from detector.tracking.selection import ShotSelector
from detector.tracking.tracker import Track, Tracker

JUDGED_EVERY = 0.1  # seconds between two judgements of a face that is not confirmed, at first


@dataclasses.dataclass(frozen=True)
class FrameResult:
    """What came of a frame. `image`: upright and masked, as searched; `spent`: seconds by step;
    `needed`: the mean score that makes a candidate a face."""

    image: Image
    tracks: list[Track]
    shots: list[FaceCrop]
    spent: dict[str, float]
    needed: float = 0.0


class FrameAnalyzer:
    """Runs in the one vision thread; keeps what must be known from frame to frame."""

    def __init__(self, options: AnalyzerOptions, engine: Engine | None = None) -> None:
        """engine: one created before; else the one that the options name."""
        self._options = options
        self._engine = engine or registry.create(options.engine, options.engine_options)
        self._search = DetectionScheduler(
            self._engine,
            options.min_face,
            options.detect_width,
            hold=options.capture != "every",
            live=options.live,
        )
        self._tracks = Tracker(self._engine.once, self._engine.often)
        self._choice = ShotSelector(options.capture, options.best_after)
        self._alone = options.alone

    def __call__(self, frame: Frame) -> FrameResult:
        began = clock.perf_counter()
        image = crop.rotate(frame.image, self._options.rotate)
        crop.apply_mask(image, self._options.mask)
        if self._alone:
            return self._single(image, frame, began)
        found = self._search.find(image, self._tracks.live, frame.time)
        searched = clock.perf_counter()
        ended = self._tracks.update(found, frame.time)
        for track in self._tracks.live:
            # Where nothing moves a frame may still be sharper: less noise, or a better picture of
            # a compressed stream. Only a face that is none would be judged for nothing.
            if track.fresh or (track.confirmed and track.seen == frame.time):
                self._consider(track, image, frame)
        taken = [shot for track in ended for shot in self._choice.ended(track)]
        taken += self._choice.due(self._tracks.live, frame.time)
        spent = {"search": searched - began, "choose": clock.perf_counter() - searched}
        return FrameResult(image, list(self._tracks.live), taken, spent, self._engine.often)

    def _single(self, image: Image, frame: Frame, began: float) -> FrameResult:
        """A picture that stands alone: all of its faces are sent."""
        tracks, taken = [], []
        for detection in detect_still(
            self._engine, image, self._options.min_face, self._options.detect_width
        ):
            track = self._tracks.alone(detection, frame.time)
            sharp = quality.sharpness(image, detection.box)
            track.quality = quality.quality(sharp, detection.frontal, detection.box, image)
            taken.append(self._shot(track, detection, sharp, image, frame))
            tracks.append(track)
        spent = {"search": clock.perf_counter() - began}
        return FrameResult(image, tracks, taken, spent, self._engine.often)

    def finish(self) -> list[FaceCrop]:
        """The shots of all faces in view: nothing more is to come."""
        return [shot for track in self._tracks.end() for shot in self._choice.ended(track)]

    def _consider(self, track: Track, image: Image, frame: Frame) -> None:
        """Judge a face that is not confirmed yet, and keep a shot that is better than before."""
        sharp = quality.sharpness(image, track.box)
        possible = quality.quality(sharp, track.frontal, track.box, image)
        patience = JUDGED_EVERY * max(1, len(track.sights) - 3)
        due = not track.confirmed and frame.time - track.judged >= patience
        if not due and not self._choice.wants(track, possible):
            return
        if not due and track.scored and track.score < self._engine.shown:
            return
        judged = track.held()
        if due or not track.scored:
            again = self._engine.judged(image, track.box)
            track.judged = frame.time
            self._tracks.judge(track, again)
            if not track.scored or again.score > judged.score:
                judged = again
        track.quality = quality.quality(sharp, judged.frontal, track.box, image)
        if judged.score >= self._engine.shown and self._choice.wants(track, track.quality):
            self._choice.see(track, self._shot(track, judged, sharp, image, frame))

    def _shot(
        self, track: Track, judged: Detection, sharp: float, image: Image, frame: Frame
    ) -> FaceCrop:
        height, width = image.shape[:2]
        box = x, y, w, h = crop.add_margin(judged.box, self._options.margin, width, height)
        return FaceCrop(
            image=image[y : y + h, x : x + w].copy(),  # the frame goes
            box=box,
            face=judged.box,
            frame_size=(width, height),
            frame_index=frame.index,
            at=frame.at,
            time=frame.time,
            score=judged.score,
            sharpness=sharp,
            quality=track.quality,
            track=track.name,
            engine=track.engine,
        )
