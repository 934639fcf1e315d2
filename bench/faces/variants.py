"""Clips made harder in one way, from labelled ones: what a camera at a door sees on bad days.

Every variant is made while it is read, from the same frames each time; its labels follow.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from bench.faces.data import Clip, Image
from bench.faces.match import Box
from bench.faces.truth import Truth, Visit

LIGHT, NOISE = 0.2, 4.0  # dim: share of the light, grey levels
SHADE = 1 / 3  # back-lit: the face's share of the light
TILT = 22.0  # degrees
LOW_RATE, LOWEST_RATE = 2.0, 0.5  # frames a second
BACKGROUND = (112, 118, 121)  # BGR, of what the clip does not show
CANVAS = (1280, 720)  # pixels: what small faces are shown in
SMALL, BRIEF = 44.0, 70.0  # pixels of a face
BRIEF_SECONDS = 1.0
CUT = 0.15  # border: share of the face that the frame cuts off
LEAST, MOST = 44.0, 400.0  # pixels of a visit's face, to be made a variant of
LONGEST = 8.0  # seconds of a clip that a variant takes

Change = Callable[[Image, int], Image]
Move = Callable[[Box], Box | None]


def make(kind: str, clip: Clip) -> list[Clip]:
    """The variants of one clip; none where no visit of it has a face of a fitting size."""
    visits = [visit for visit in clip.truth.visits if LEAST <= _side(visit) <= MOST]
    if not visits:
        return []
    last = round(LONGEST * clip.fps)
    clip = dataclasses.replace(clip, truth=_until(clip.truth, visits, last))
    clip = dataclasses.replace(clip, change=lambda frames: itertools.islice(frames, last))
    if not clip.truth.visits:
        return []
    made = KINDS[kind](clip)
    return [dataclasses.replace(one, name=f"{kind} {one.name}") for one in made if one.truth.visits]


def _until(truth: Truth, visits: list[Visit], last: int) -> Truth:
    cut = [Visit({i: box for i, box in visit.boxes.items() if i < last}) for visit in visits]
    return Truth(
        truth.step,
        {i: boxes for i, boxes in truth.faces.items() if i < last},
        {i: boxes for i, boxes in truth.ignore.items() if i < last},
        [visit for visit in cut if len(visit.boxes) > 1],
    )


def _side(visit: Visit) -> float:
    return statistics.median(max(box[2:]) for box in visit.boxes.values())


def _dim(clip: Clip) -> list[Clip]:
    def change(image: Image, index: int) -> Image:
        noise = np.random.default_rng(index).normal(0, NOISE, image.shape)
        dark: Image = np.clip(LIGHT * image + noise, 0, 255).astype(np.uint8)
        return dark

    return [_changed(clip, change)]


def _backlit(clip: Clip) -> list[Clip]:
    def change(image: Image, index: int) -> Image:
        shade = np.zeros(image.shape[:2], np.float32)
        for x, y, w, h in _places(clip.truth, index):
            middle = round(x + w / 2), round(y + h / 2)
            cv2.ellipse(shade, middle, (round(0.75 * w), round(0.8 * h)), 0, 0, 360, 1.0, -1)
            shoulders = (middle[0], round(y + 2.3 * h)), (round(1.5 * w), round(1.3 * h))
            cv2.ellipse(shade, *shoulders, 0, 0, 360, 1.0, -1)
        soft = cv2.GaussianBlur(shade, (0, 0), 3)[..., None]
        bright = 255 - 0.35 * (255 - image.astype(np.float32))
        mixed = soft * SHADE * image + (1 - soft) * bright
        shaded: Image = np.clip(mixed, 0, 255).astype(np.uint8)
        return shaded

    return [_changed(clip, change)]


def _hat(clip: Clip) -> list[Clip]:
    def change(image: Image, index: int) -> Image:
        drawn = image.copy()
        for x, y, w, h in _places(clip.truth, index):
            brow = round(y + 0.27 * h)
            crown = (round(x + w / 2), brow), (round(0.56 * w), round(0.55 * h))
            cv2.ellipse(drawn, *crown, 0, 180, 360, (58, 46, 40), -1)
            brim = (round(x + w / 2), brow), (round(0.8 * w), max(1, round(0.07 * h)))
            cv2.ellipse(drawn, *brim, 0, 0, 360, (44, 34, 30), -1)
        return drawn

    return [_changed(clip, change)]


def _tilted(clip: Clip) -> list[Clip]:
    width, height = clip.size
    return [
        _moved(clip, cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0), (width, height))
        for angle in ((TILT, -TILT)[len(clip.name) % 2],)
    ]


def _low_rate(clip: Clip) -> list[Clip]:
    return [_sampled(clip, LOW_RATE)]


def _lowest_rate(clip: Clip) -> list[Clip]:
    return [_sampled(clip, LOWEST_RATE)]


def _small(clip: Clip) -> list[Clip]:
    return [_placed(clip, visit, SMALL) for visit in clip.truth.visits]


def _brief(clip: Clip) -> list[Clip]:
    """One second from the middle of each visit, with the empty canvas before and after."""
    briefs = []
    for visit in clip.truth.visits:
        placed = _placed(clip, visit, BRIEF)
        middle = visit.frames[len(visit.frames) // 2]
        first = max(0, middle - round(BRIEF_SECONDS * clip.fps / 2))
        last = first + round(BRIEF_SECONDS * clip.fps)
        empty = round(clip.fps)
        briefs.append(_cut_out(placed, first, last, empty))
    return briefs


def _border(clip: Clip) -> list[Clip]:
    """The frame moved, so that its edge cuts off a part of each visit's face."""
    width, height = clip.size
    cut = []
    for number, visit in enumerate(clip.truth.visits):
        x, y, w, h = visit.boxes[visit.frames[len(visit.frames) // 2]]
        shift = [
            (-(x + CUT * w), 0.0),
            (width - (x + w - CUT * w), 0.0),
            (0.0, -(y + CUT * h)),
            (0.0, height - (y + h - CUT * h)),
        ][(number + len(clip.name)) % 4]
        cut.append(_windowed(clip, visit, shift))
    return cut


KINDS: dict[str, Callable[[Clip], list[Clip]]] = {
    "dim": _dim,
    "backlit": _backlit,
    "tilted": _tilted,
    "hat": _hat,
    "2fps": _low_rate,
    "0.5fps": _lowest_rate,
    "small": _small,
    "brief": _brief,
    "border": _border,
}


def _windowed(clip: Clip, visit: Visit, shift: tuple[float, float]) -> Clip:
    """What remains of the frame when it is moved by `shift` and cut to where it was."""
    width, height = clip.size
    left, top = max(0, round(-shift[0])), max(0, round(-shift[1]))
    right, bottom = width - max(0, round(shift[0])), height - max(0, round(shift[1]))

    def move(box: Box) -> Box | None:
        return _clipped((box[0] - left, box[1] - top, *box[2:]), right - left, bottom - top)

    def change(image: Image, _: int) -> Image:
        return np.ascontiguousarray(image[top:bottom, left:right])

    only = dataclasses.replace(clip.truth, visits=[visit])
    return _changed(dataclasses.replace(clip, truth=only), change, move)


def _placed(clip: Clip, visit: Visit, side: float) -> Clip:
    """The clip reduced until the visit's face has `side` pixels, in a larger frame of one colour
    with a soft gradient."""
    scale = side / _side(visit)
    width, height = clip.size
    left = round((CANVAS[0] - scale * width) / 2)
    top = round((CANVAS[1] - scale * height) / 2)
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    only = dataclasses.replace(clip.truth, visits=[visit])
    return _moved(dataclasses.replace(clip, truth=only), matrix, CANVAS)


def _moved(clip: Clip, matrix: np.ndarray, size: tuple[int, int]) -> Clip:
    scale = math.hypot(matrix[0, 0], matrix[1, 0])

    def move(box: Box) -> Box | None:
        x, y, w, h = box
        middle = matrix @ np.array([x + w / 2, y + h / 2, 1.0])
        w, h = scale * w, scale * h
        return _clipped((middle[0] - w / 2, middle[1] - h / 2, w, h), *size)

    def change(image: Image, _: int) -> Image:
        if scale < 1:
            image = cv2.GaussianBlur(image, (0, 0), 0.35 / scale).astype(np.uint8, copy=False)
        moved = cv2.warpAffine(
            image, matrix, size, borderMode=cv2.BORDER_CONSTANT, borderValue=BACKGROUND
        )
        return moved.astype(np.uint8, copy=False)

    return _changed(clip, change, move)


def _clipped(box: Box, width: int, height: int) -> Box | None:
    """The part within the frame; None for less than two thirds."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(width), box[0] + box[2]), min(float(height), box[1] + box[3])
    if right <= left or bottom <= top:
        return None
    if (right - left) * (bottom - top) < 2 / 3 * box[2] * box[3]:
        return None
    return left, top, right - left, bottom - top


def _changed(clip: Clip, change: Change, move: Move = lambda box: box) -> Clip:
    before = clip.change

    def changed(frames: Iterable[Image]) -> Iterator[Image]:
        for index, image in enumerate(before(frames) if before else frames):
            yield change(image, index)

    truth = clip.truth
    new = Truth(
        truth.step,
        {i: _each(move, boxes) for i, boxes in truth.faces.items()},
        # What is cut off for the most part counts neither way.
        {
            i: _each(move, boxes) + [b for b in truth.faces.get(i, []) if move(b) is None]
            for i, boxes in truth.ignore.items()
        },
        [v for v in (_follow(move, visit) for visit in truth.visits) if len(v.boxes) > 1],
    )
    return dataclasses.replace(clip, truth=new, change=changed)


def _each(move: Move, boxes: list[Box]) -> list[Box]:
    return [moved for moved in map(move, boxes) if moved is not None]


def _follow(move: Move, visit: Visit) -> Visit:
    moved = {i: move(box) for i, box in visit.boxes.items()}
    return Visit({i: box for i, box in moved.items() if box is not None})


def _places(truth: Truth, index: int) -> list[Box]:
    return [box for visit in truth.visits if (box := visit.at(index, truth.step)) is not None]


def _sampled(clip: Clip, rate: float) -> Clip:
    """Only so many frames a second, those that have labels."""
    truth, before = clip.truth, clip.change
    step = max(1, round(clip.fps / rate / truth.step)) * truth.step

    def changed(frames: Iterable[Image]) -> Iterator[Image]:
        return itertools.islice(before(frames) if before else frames, 0, None, step)

    def of(labels: dict[int, list[Box]]) -> dict[int, list[Box]]:
        return {i // step: boxes for i, boxes in labels.items() if i % step == 0}

    visits = [
        Visit({i // step: box for i, box in visit.boxes.items() if i % step == 0})
        for visit in truth.visits
    ]
    new = Truth(1, of(truth.faces), of(truth.ignore), [v for v in visits if v.boxes])
    return dataclasses.replace(clip, truth=new, change=changed, rate=clip.fps / step)


def _cut_out(clip: Clip, first: int, last: int, empty: int) -> Clip:
    """The frames from `first` to before `last`, with `empty` ones before and after them."""
    truth, before = clip.truth, clip.change
    first = -(-first // truth.step) * truth.step
    lead = -(-empty // truth.step) * truth.step
    blank = np.full((CANVAS[1], CANVAS[0], 3), BACKGROUND, np.uint8)

    def changed(frames: Iterable[Image]) -> Iterator[Image]:
        yield from itertools.repeat(blank, lead)
        yield from itertools.islice(before(frames) if before else frames, first, last)
        yield from itertools.repeat(blank, lead)

    def within(index: int) -> bool:
        return first <= index < last

    def of(labels: dict[int, list[Box]]) -> dict[int, list[Box]]:
        return {i - first + lead: boxes for i, boxes in labels.items() if within(i)}

    visits = [
        Visit({i - first + lead: box for i, box in visit.boxes.items() if within(i)})
        for visit in truth.visits
    ]
    new = Truth(truth.step, of(truth.faces), of(truth.ignore), [v for v in visits if v.boxes])
    return dataclasses.replace(clip, truth=new, change=changed)
