"""Where faces are in a clip's frames, known from labels of every step-th frame."""

from __future__ import annotations

import dataclasses
import functools
from bisect import bisect_left

from bench.faces.match import Box, hits, large


@dataclasses.dataclass(frozen=True)
class Visit:
    """One face from its coming to its going: its box by labelled frame (one at least)."""

    boxes: dict[int, Box]

    @functools.cached_property
    def frames(self) -> list[int]:
        return sorted(self.boxes)

    @property
    def counts(self) -> bool:
        """Whether the face is ever large enough to be asked for."""
        return any(large(box) for box in self.boxes.values())

    def at(self, frame: int, slack: int = 0) -> Box | None:
        """The box, linear between labelled frames; within `slack` frames before and after them
        that of the first or last. None beyond."""
        first, last = self.frames[0], self.frames[-1]
        if not first - slack <= frame <= last + slack:
            return None
        frame = min(max(frame, first), last)
        after = bisect_left(self.frames, frame)
        if self.frames[after] == frame:
            return self.boxes[frame]
        return between(self.boxes, self.frames[after - 1], self.frames[after], frame)

    def sure(self, frame: int, step: int) -> bool:
        """Whether labels stand at or on both sides of a frame, `step` frames apart at most."""
        after = bisect_left(self.frames, frame)
        if after == len(self.frames):
            return False
        if self.frames[after] == frame:
            return True
        return after > 0 and self.frames[after] - self.frames[after - 1] <= step


def between(boxes: dict[int, Box], before: int, after: int, frame: int) -> Box:
    """The box at a frame between two others, all of its sides moving evenly."""
    return _mixed(boxes[before], boxes[after], (frame - before) / (after - before))


def _mixed(a: Box, b: Box, share: float) -> Box:
    x, y, w, h = (p + (q - p) * share for p, q in zip(a, b, strict=True))
    return x, y, w, h


@dataclasses.dataclass(frozen=True)
class Truth:
    """A clip's labels; `faces` and `ignore` by labelled frame, every `step`-th."""

    step: int
    faces: dict[int, list[Box]]
    ignore: dict[int, list[Box]]
    visits: list[Visit]

    @functools.cached_property
    def _labelled(self) -> list[int]:
        return sorted(self.faces)

    @property
    def empty(self) -> bool:
        """Whether nobody is in view in any labelled frame."""
        return not any(self.faces.values()) and not any(self.ignore.values())

    def is_face(self, frame: int, box: Box) -> bool:
        """Whether a box hits anything labelled, of any size, or uncertain, in the labelled frames
        before and after, or between them on the way from one to the other."""
        if any(place and hits(box, place) for place in self._visits_at(frame)):
            return True
        before, after = self._around(frame)
        old, new = self._labels(before), self._labels(after)
        if any(hits(box, place) for place in [*old, *new]):
            return True
        if before is None or after is None or before == after:
            return False
        share = (frame - before) / (after - before)
        moved = (_mixed(a, b, share) for a in old for b in new if _same(a, b))
        return any(hits(box, place) for place in moved)

    def _visits_at(self, frame: int) -> list[Box | None]:
        return [visit.at(frame, self.step) for visit in self.visits]

    def _around(self, frame: int) -> tuple[int | None, int | None]:
        at = bisect_left(self._labelled, frame)
        after = self._labelled[at] if at < len(self._labelled) else None
        if after == frame:
            return frame, frame
        return (self._labelled[at - 1] if at else None), after

    def _labels(self, frame: int | None) -> list[Box]:
        if frame is None:
            return []
        return [*self.faces.get(frame, []), *self.ignore.get(frame, [])]


def _same(a: Box, b: Box) -> bool:
    """Whether two boxes of neighbouring labels may be one face that moved."""
    apart = abs(a[0] + a[2] / 2 - b[0] - b[2] / 2), abs(a[1] + a[3] / 2 - b[1] - b[3] / 2)
    return max(apart) <= max(a[2], a[3]) and 0.5 <= a[2] / max(b[2], 1e-9) <= 2
