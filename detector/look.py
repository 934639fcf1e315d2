"""One frame in, the shots to send out: search, follow, choose."""

from __future__ import annotations

import dataclasses
import time as clock

from detector import engine, quality, shots, still
from detector.camera import Frame
from detector.choice import Choice
from detector.engine import Detection, Image
from detector.search import Search
from detector.settings import Settings
from detector.shots import Shot
from detector.tracks import Track, Tracks

JUDGED_EVERY = 0.1  # seconds between two judgements of a face that is not confirmed, at first


@dataclasses.dataclass(frozen=True)
class Seen:
    """What came of a frame. `image`: upright and masked, as searched; `spent`: seconds by step."""

    image: Image
    tracks: list[Track]
    shots: list[Shot]
    spent: dict[str, float]


class Look:
    """Runs in the one vision thread; keeps what must be known from frame to frame."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = engine.made(settings)
        self._search = Search(
            self._engine,
            settings.min_face,
            settings.detect_width,
            hold=settings.capture != "every",
            live=settings.source.live or settings.camera_loop,
        )
        self._tracks = Tracks(self._engine.once, self._engine.often)
        self._choice = Choice(settings.capture, settings.best_after)
        self._alone = settings.source.kind == "images"

    def __call__(self, frame: Frame) -> Seen:
        began = clock.perf_counter()
        image = shots.upright(frame.image, self._settings.rotate)
        shots.blacken(image, self._settings.mask)
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
        return Seen(image, list(self._tracks.live), taken, spent)

    def _single(self, image: Image, frame: Frame, began: float) -> Seen:
        """A picture that stands alone: all of its faces are sent."""
        tracks, taken = [], []
        for detection in still.find(image, self._settings, self._engine):
            track = self._tracks.alone(detection, frame.time)
            sharp = quality.sharpness(image, detection.box)
            track.quality = quality.quality(sharp, detection.frontal, detection.box, image)
            taken.append(self._shot(track, detection, sharp, image, frame))
            tracks.append(track)
        return Seen(image, tracks, taken, {"search": clock.perf_counter() - began})

    def finish(self) -> list[Shot]:
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
        judged = Detection(track.box, track.score, track.frontal)
        if due or not track.scored:
            judged = self._engine.judged(image, track.box)
            self._tracks.judge(track, judged, frame.time)
        track.quality = quality.quality(sharp, judged.frontal, track.box, image)
        if judged.score >= self._engine.shown and self._choice.wants(track, track.quality):
            self._choice.see(track, self._shot(track, judged, sharp, image, frame))

    def _shot(
        self, track: Track, judged: Detection, sharp: float, image: Image, frame: Frame
    ) -> Shot:
        height, width = image.shape[:2]
        box = x, y, w, h = shots.widened(judged.box, self._settings.margin, width, height)
        return Shot(
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
