"""The interface of engines, which detect faces in a frame.

To add one: a module with such a class, `create` and `find_problems`, and a line in `registry`.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from detector.picture import Box, Picture


@dataclasses.dataclass(frozen=True)
class Detection:
    """A face in a frame.

    box: bounding box x, y, w, h in pixels of the frame, within it.
    score: the engine's own confidence, in the engine's own unit.
    frontal: how directly it looks into the camera, 0 to 1.
    evidence: whether the score tells if this is a face; else the box is only a candidate.
    engine: the name of the engine that detected it.
    """

    box: Box
    score: float
    frontal: float = 1.0
    evidence: bool = False
    engine: str = ""


class Engine(Protocol):
    """A face detector; not thread-safe, since OpenCV's classes are not.

    confirm_score: score at which one sight confirms a face.
    confirm_mean_score: mean score at which several sights confirm it.
    shot_score: lowest score of a sight that is sent.
    idle_pause: seconds between two searches while nobody is in view.
    """

    name: str
    confirm_score: float
    confirm_mean_score: float
    shot_score: float
    idle_pause: float

    def search(
        self, picture: Picture, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        """Candidates of at least `min_side` pixels in a picture.

        most: largest scale to which the picture may be reduced for the search.
        deep: search in all ways that the engine has, not only in the quick ones.
        """

    def detect_near(self, picture: Picture, box: Box) -> list[Detection]:
        """Candidates of about the size of `box`, where a face was a moment ago; quick."""

    def verify(self, picture: Picture, box: Box) -> Detection:
        """A candidate with its score, as reliable as the engine can make it; slower."""

    def detect_still(self, picture: Picture, min_side: float, most: float = 1.0) -> list[Detection]:
        """Faces in a picture that stands alone, however long that takes."""
