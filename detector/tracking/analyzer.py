"""Frames in, shots out: detect faces, track them, select the best shots."""

from __future__ import annotations

import dataclasses
import time as clock

from detector.capture.frame import Frame
from detector.detection import registry
from detector.detection.base import Detection, Engine
from detector.encoding import crop
from detector.encoding.crop import FaceCrop
from detector.picture import Picture
from detector.tracking import quality
from detector.tracking.options import AnalyzerOptions
from detector.tracking.scheduler import DetectionScheduler, detect_still
from detector.tracking.selection import ShotSelector
from detector.tracking.tracker import Track, Tracker

VERIFY_EVERY = 0.1  # seconds between two verifications of an unconfirmed face, at first


@dataclasses.dataclass(frozen=True)
class FrameResult:
    """The outcome of one frame.

    picture: the frame, rotated and masked, as it was searched.
    tracks: all faces in view, confirmed or not; shots: what is to be sent.
    spent: seconds by step; needed: the mean score at which a candidate counts as a face.
    """

    picture: Picture
    tracks: list[Track]
    shots: list[FaceCrop]
    spent: dict[str, float]
    needed: float = 0.0


class FrameAnalyzer:
    """Analyzes the frames of one camera in order; not thread-safe."""

    def __init__(self, options: AnalyzerOptions, engine: Engine | None = None) -> None:
        """`engine` takes the place of the one that the options name."""
        self._options = options
        self._engine = engine or registry.create(options.engine, options.engine_options)
        self._scheduler = DetectionScheduler(
            self._engine,
            options.min_face,
            options.detect_width,
            hold=options.capture != "every",
            live=options.live,
        )
        self._tracker = Tracker(self._engine.confirm_score, self._engine.confirm_mean_score)
        self._selector = ShotSelector(options.capture, options.best_after)
        self._alone = options.alone

    def __call__(self, frame: Frame) -> FrameResult:
        began = clock.perf_counter()
        picture = crop.prepare(frame.picture, self._options.rotate, self._options.mask)
        if self._alone:
            return self._single(picture, frame, began)
        detections = self._scheduler.find(picture, self._tracker.live, frame.time)
        searched = clock.perf_counter()
        ended = self._tracker.update(detections, frame.time)
        for track in self._tracker.live:
            # Even where nothing moves a frame may be sharper: less noise, or a better picture of
            # a compressed stream. An unconfirmed track that does not move is not verified again.
            if track.fresh or (track.confirmed and track.seen == frame.time):
                self._consider(track, picture, frame)
        shots = [shot for track in ended for shot in self._selector.end(track)]
        shots += self._selector.take_due(self._tracker.live, frame.time)
        spent = {"search": searched - began, "choose": clock.perf_counter() - searched}
        tracks = list(self._tracker.live)
        return FrameResult(picture, tracks, shots, spent, self._engine.confirm_mean_score)

    def _single(self, picture: Picture, frame: Frame, began: float) -> FrameResult:
        """Analyze a picture that stands alone: all its faces are sent."""
        tracks, shots = [], []
        for detection in detect_still(
            self._engine, picture, self._options.min_face, self._options.detect_width
        ):
            track = self._tracker.create_single(detection, frame.time)
            sharp = quality.sharpness(picture, detection.box)
            track.quality = quality.quality(sharp, detection.frontal, detection.box, picture)
            shots.append(self._cut(track, detection, sharp, picture, frame))
            tracks.append(track)
        spent = {"search": clock.perf_counter() - began}
        return FrameResult(picture, tracks, shots, spent, self._engine.confirm_mean_score)

    def finish(self) -> list[FaceCrop]:
        """The last shots of all faces in view."""
        return [shot for track in self._tracker.end() for shot in self._selector.end(track)]

    def _consider(self, track: Track, picture: Picture, frame: Frame) -> None:
        """Verify a face that is not confirmed yet, and keep a shot that is better than before."""
        sharp = quality.sharpness(picture, track.box)
        possible = quality.quality(sharp, track.frontal, track.box, picture)
        patience = VERIFY_EVERY * max(1, len(track.sights) - 3)
        due = not track.confirmed and frame.time - track.verified_at >= patience
        if not due and not self._selector.wants(track, possible):
            return
        if not due and track.scored and track.score < self._engine.shot_score:
            return
        detection = track.last_detection()
        if due or not track.scored:
            verified = self._engine.verify(picture, track.box)
            track.verified_at = frame.time
            self._tracker.add_evidence(track, verified)
            if not track.scored or verified.score > detection.score:
                detection = verified
        track.quality = quality.quality(sharp, detection.frontal, track.box, picture)
        good = detection.score >= self._engine.shot_score
        if good and self._selector.wants(track, track.quality):
            self._selector.add(track, self._cut(track, detection, sharp, picture, frame))

    def _cut(
        self, track: Track, detection: Detection, sharp: float, picture: Picture, frame: Frame
    ) -> FaceCrop:
        height, width = picture.shape
        box = crop.add_margin(detection.box, self._options.margin, width, height)
        return FaceCrop(
            image=picture.cut(box).bgr.copy(),  # or it would keep the whole frame alive
            box=box,
            face=detection.box,
            frame_size=(width, height),
            frame_index=frame.index,
            at=frame.at,
            time=frame.time,
            score=detection.score,
            sharpness=sharp,
            quality=track.quality,
            track=track.name,
            engine=track.engine,
        )
