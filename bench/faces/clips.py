"""Visits caught, shots per visit, shots of what is no face, and how sharp they are."""

from __future__ import annotations

import dataclasses
import statistics
import time

from bench.faces.data import Clip, Image, say
from bench.faces.engines import Engine, Follower, Sent, sharpness
from bench.faces.match import best
from bench.faces.truth import Truth, Visit


@dataclasses.dataclass
class Tally:
    """One engine's figures over all clips."""

    visits: int = 0
    missed: int = 0
    objects: int = 0  # shots of visits that count, CAPTURE=best
    shots: int = 0  # of anything, CAPTURE=interval
    not_faces: int = 0
    ratios: list[float] = dataclasses.field(default_factory=list)  # a caught visit each
    own_ratios: list[float] = dataclasses.field(default_factory=list)

    @property
    def objects_per_visit(self) -> float | None:
        caught = self.visits - self.missed
        return self.objects / caught if caught else None

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
            _count(tallies[engine.name], engine.name, clip, seen)
        parts = (f"{e.name} {len(seen.interval[e.name])}" for e in engines)
        took = time.monotonic() - started
        say(f"clip {number} of {len(clips)}: {clip.name}: {', '.join(parts)} shots ({took:.0f} s)")
    for name, tally in tallies.items():
        own = statistics.median(tally.own_ratios) if tally.own_ratios else None
        if own is not None:
            say(f"{name}: sharpness ratio measured in its own boxes {own:.3f}")
    return tallies


@dataclasses.dataclass
class Seen:
    """A clip's frames have been shown: what was sent, by engine, and how sharp each visit was."""

    best: dict[str, list[Sent]]
    interval: dict[str, list[Sent]]
    sharp: list[dict[int, float]]  # of each visit, by frame
    frames: int = 0


def _show(engines: list[Engine], clip: Clip, most: int | None) -> Seen:
    seen = Seen({}, {}, [{} for _ in clip.truth.visits])
    followers: list[tuple[Follower, list[Sent]]] = []
    for engine in engines:
        modes = {"best": seen.best, "interval": seen.interval}
        lists = []
        for capture, into in modes.items():
            into[engine.name] = []
            if not (lists and engine.name == "plain"):
                follower = engine.follower(clip.path, clip.fps, capture)
                lists.append((follower, into[engine.name]))
        if engine.name == "plain":  # it sends the same in any mode
            seen.interval[engine.name] = seen.best[engine.name]
        followers += lists
    for index, image in enumerate(clip.frames(most)):
        _measure(clip.truth.visits, seen.sharp, image, index)
        for follower, sent in followers:
            sent += follower.see(image.copy(), index)
        seen.frames = index + 1
    for follower, sent in followers:
        sent += follower.end()
    return seen


def _measure(visits: list[Visit], into: list[dict[int, float]], image: Image, index: int) -> None:
    for visit, by_frame in zip(visits, into, strict=True):
        place = visit.at(index)
        if place is not None:
            by_frame[index] = sharpness(image, place)


def _count(tally: Tally, name: str, clip: Clip, seen: Seen) -> None:
    truth = clip.truth
    tally.shots += len(seen.interval[name])
    wrong = [sent for sent in seen.interval[name] if not truth.is_face(sent.frame, sent.face)]
    tally.not_faces += len(wrong)
    if wrong and name != "plain":
        say(f"{name}: no face: {clip.name}: {[(s.frame, s.face) for s in wrong]}")
    of_visit = _assigned(truth, seen.best[name])
    for visit, sent, sharp in zip(truth.visits, of_visit, seen.sharp, strict=True):
        if not visit.counts or visit.frames[0] >= seen.frames:
            continue
        tally.visits += 1
        tally.objects += len(sent)
        if not sent:
            tally.missed += 1
            sizes = [round(min(box[2:])) for box in visit.boxes.values()]
            where = f"frames {visit.frames[0]} to {visit.frames[-1]}, {max(sizes)} pixels at most"
            say(f"{name}: visit missed: {clip.name}: {where}")
            continue
        _compare(tally, visit, sent, sharp, truth.step)


def _assigned(truth: Truth, sent: list[Sent]) -> list[list[Sent]]:
    """The shots of each visit; one shot belongs to one visit at most."""
    lists: list[list[Sent]] = [[] for _ in truth.visits]
    for one in sent:
        places = [visit.at(one.frame, truth.step) for visit in truth.visits]
        index = best(one.face, places)
        if index is not None:
            lists[index].append(one)
    return lists


def _compare(
    tally: Tally, visit: Visit, sent: list[Sent], sharp: dict[int, float], step: int
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
