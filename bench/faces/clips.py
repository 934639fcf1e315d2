"""Visits caught, shots per visit, shots of what is no face, and how sharp they are."""

from __future__ import annotations

import dataclasses
import statistics
import time

from bench.faces.data import Clip, Image, say
from bench.faces.engines import Engine, Sent, sharpness
from bench.faces.match import Box, best
from bench.faces.truth import Truth, Visit


@dataclasses.dataclass
class Tally:
    """One engine's figures over all clips."""

    visits: int = 0
    missed: int = 0
    pictured: int = 0  # visits of which there is a shot with CAPTURE=best
    objects: int = 0  # such shots
    shots: int = 0  # of anything, CAPTURE=interval
    not_faces: int = 0
    ratios: list[float] = dataclasses.field(default_factory=list)  # a caught visit each
    own_ratios: list[float] = dataclasses.field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        fields = dataclasses.fields(self)
        return Tally(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields})

    @property
    def objects_per_visit(self) -> float | None:
        return self.objects / self.pictured if self.pictured else None

    @property
    def sharpness_ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None


def run(engines: list[Engine], clips: list[Clip], most: int | None) -> dict[str, Tally]:
    """Each clip once, every engine seeing each of its frames; `most` frames of each at most."""
    tallies = {engine.name: Tally() for engine in engines}
    for number, clip in enumerate(clips, 1):
        started = time.monotonic()
        seen = _show(engines, clip, most)
        for engine in engines:
            _count(tallies[engine.name], engine, clip, seen)
        parts = (f"{e.name} {len(seen.sent[e.name][e.modes[-1]])}" for e in engines)
        took = time.monotonic() - started
        say(f"clip {number} of {len(clips)}: {clip.name}: {', '.join(parts)} shots ({took:.0f} s)")
    return tallies


@dataclasses.dataclass(frozen=True)
class Noted:
    """What is kept of a shot that was sent; its sharpness is that of the face as detected."""

    frame: int
    face: Box
    sharpness: float


@dataclasses.dataclass
class Seen:
    """A clip's frames have been shown: what was sent, by engine and mode of CAPTURE, and how
    sharp each visit was, by frame."""

    sent: dict[str, dict[str, list[Noted]]]
    sharp: list[dict[int, float]]
    frames: int = 0


def _show(engines: list[Engine], clip: Clip, most: int | None) -> Seen:
    sent: dict[str, dict[str, list[Noted]]] = {e.name: {m: [] for m in e.modes} for e in engines}
    seen = Seen(sent, [{} for _ in clip.truth.visits])
    followers = [
        (engine.follower(clip.path, clip.fps, mode), sent[engine.name][mode])
        for engine in engines
        for mode in engine.modes
    ]
    for index, image in enumerate(clip.frames(most)):
        _measure(clip.truth.visits, seen.sharp, image, index)
        for follower, into in followers:
            into.extend(map(_noted, follower.see(image.copy(), index)))
        seen.frames = index + 1
    for follower, into in followers:
        into.extend(map(_noted, follower.end()))
    return seen


def _noted(sent: Sent) -> Noted:
    return Noted(sent.frame, sent.face, sharpness(sent.picture, sent.within))


def _measure(visits: list[Visit], into: list[dict[int, float]], image: Image, index: int) -> None:
    for visit, by_frame in zip(visits, into, strict=True):
        place = visit.at(index)
        if place is not None:
            by_frame[index] = sharpness(image, place)


def _count(tally: Tally, engine: Engine, clip: Clip, seen: Seen) -> None:
    truth, name = clip.truth, engine.name
    usual, best_ones = seen.sent[name][engine.modes[-1]], seen.sent[name][engine.modes[0]]
    tally.shots += len(usual)
    wrong = [sent for sent in usual if not truth.is_face(sent.frame, sent.face)]
    tally.not_faces += len(wrong)
    if wrong and name != "plain":
        say(f"{name}: no face: {clip.name}: {[(s.frame, s.face) for s in wrong]}")
    all_of, best_of = _assigned(truth, usual), _assigned(truth, best_ones)
    for visit, any_sent, sent, sharp in zip(truth.visits, all_of, best_of, seen.sharp, strict=True):
        if not visit.counts or visit.frames[0] >= seen.frames:
            continue
        tally.visits += 1
        if not any_sent:
            tally.missed += 1
            sizes = [round(min(box[2:])) for box in visit.boxes.values()]
            where = f"frames {visit.frames[0]} to {visit.frames[-1]}, {max(sizes)} pixels at most"
            say(f"{name}: visit missed: {clip.name}: {where}")
        if sent:
            tally.pictured += 1
            tally.objects += len(sent)
            _compare(tally, visit, sent, sharp, truth.step)


def _assigned(truth: Truth, sent: list[Noted]) -> list[list[Noted]]:
    """The shots of each visit; one shot belongs to one visit at most."""
    lists: list[list[Noted]] = [[] for _ in truth.visits]
    for one in sent:
        places = [visit.at(one.frame, truth.step) for visit in truth.visits]
        index = best(one.face, places)
        if index is not None:
            lists[index].append(one)
    return lists


def _compare(
    tally: Tally, visit: Visit, sent: list[Noted], sharp: dict[int, float], step: int
) -> None:
    """Against the sharpest frame that stands by a label on each side, not one in a gap of them."""
    known = [value for frame, value in sharp.items() if visit.sure(frame, step)]
    top = max(known, default=0.0)
    if top <= 0:
        return
    last = max(sharp)
    at = [sharp[min(max(one.frame, visit.frames[0]), last)] for one in sent]
    tally.ratios.append(statistics.fmean(at) / top)
    tally.own_ratios.append(statistics.fmean(one.sharpness for one in sent) / top)
